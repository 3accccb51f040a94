#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(ask): Args<slow_echo::echo>) -> Result<String, Fault> {
    Ok(ask.text)
}

fn main() {}
