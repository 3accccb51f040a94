#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

struct Slow;

impl SlowEcho for Slow {
    async fn echo(&self, text: String) -> Result<Echoed, Problem> {
        let rc = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(rc);
        Ok(Echoed { text })
    }

    async fn user(&self, id: u32) -> Result<Echoed, Problem> {
        Ok(Echoed { text: id.to_string() })
    }
}

fn main() {}
