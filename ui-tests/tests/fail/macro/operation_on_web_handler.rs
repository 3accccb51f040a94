#![allow(unused)]
use brubeck::prelude::*;

#[get(slow_echo::echo)]
async fn handler() {}

fn main() {}
