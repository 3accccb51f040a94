#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(args): Args<slow_echo::echo>) -> Result<Echoed, Problem> {
    Ok(Echoed { text: args.text })
}

const ROUTES: Routes<()> = routes![echo];

serves!(ROUTES => slow_echo);

fn main() {}
