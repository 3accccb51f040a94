#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(ask): Args<slow_echo::user>) -> Result<Echoed, Fault> {
    Ok(Echoed { text: ask.id.to_string() })
}

fn main() {}
