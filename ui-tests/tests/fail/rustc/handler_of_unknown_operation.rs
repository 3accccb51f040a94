#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::ecko)]
async fn echo() -> Result<Echoed, Problem> {
    Ok(Echoed { text: String::new() })
}

fn main() {}
