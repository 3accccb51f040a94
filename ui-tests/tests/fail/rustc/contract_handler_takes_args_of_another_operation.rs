#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(args): Args<slow_echo::user>) -> Result<Echoed, Problem> {
    Ok(Echoed { text: args.id.to_string() })
}

fn main() {}
