#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(args): Args<slow_echo::echo>) -> Echoed {
    Echoed { text: args.text }
}

fn main() {}
