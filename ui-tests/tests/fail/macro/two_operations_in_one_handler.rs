#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(slow_echo::echo, slow_echo::user)]
async fn handler() {}

fn main() {}
