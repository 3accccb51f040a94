#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

struct Slow;

impl SlowEcho for Slow {
    async fn echo(&self, text: String) -> Result<Echoed, Problem> {
        Ok(Echoed { text })
    }
}

fn main() {}
