#![allow(unused)]
use brubeck::prelude::*;

#[response_handler("/service/slow")]
async fn on_slow(result: Result<String, CallError>) {}

fn main() {}
