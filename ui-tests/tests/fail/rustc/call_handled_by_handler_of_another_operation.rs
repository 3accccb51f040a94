#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[response_handler(slow_echo::echo)]
async fn on_echo(reply: ServiceResponse<Echoed>) -> usize {
    reply.body.text.len()
}

async fn call(slow: SlowEchoClient) {
    let _ = slow.user(1).handled_by::<on_echo>().await;
}

fn main() {}
