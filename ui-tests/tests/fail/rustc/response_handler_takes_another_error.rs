#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[response_handler(slow_echo::echo)]
async fn on_echo(result: Result<ServiceResponse<Echoed>, CallError<String>>) {}

fn main() {}
