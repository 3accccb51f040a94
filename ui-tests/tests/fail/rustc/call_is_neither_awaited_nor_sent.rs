#![deny(unused_must_use)]
#[allow(unused_imports)]
use brubeck::prelude::*;
use ui_tests::contract::*;

async fn call(slow: SlowEchoClient) {
    slow.echo("x".into());
}

fn main() {}
