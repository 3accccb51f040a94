#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(slow_echo::echo, path = "^/slow")]
async fn handler() {}

fn main() {}
