#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(args): Args<slow_echo::echo>) -> Result<String, Problem> {
    Ok(args.text)
}

fn main() {}
