#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

async fn call(slow: SlowEchoClient) {
    let _ = slow.echo(5).await;
    let _ = slow.user().await;
    let _ = slow.uesr(5).await;
}

fn main() {}
