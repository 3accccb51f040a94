#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

async fn call(slow: SlowEchoClient) {
    let reply = slow.echo("x".into()).await.unwrap();
    println!("{}", reply.txt);
}

fn main() {}
