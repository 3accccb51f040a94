#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(ask): Args<slow_echo::echo>) -> Result<Echoed, Fault> {
    Ok(Echoed { text: ask.text })
}

const ROUTES: Routes<()> = routes![echo];

serves!(ROUTES => slow_echo);

fn main() {}
