#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

struct Slow;

impl SlowEcho for Slow {
    async fn echo(&self, text: u32) -> Result<Echoed, Problem> {
        Ok(Echoed { text: text.to_string() })
    }

    async fn user(&self, id: u32) -> Result<Echoed, Problem> {
        Ok(Echoed { text: id.to_string() })
    }
}

fn main() {}
