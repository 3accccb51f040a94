#![allow(unused)]
use brubeck::prelude::*;

#[response_handler(path = "^/slow", concurrency = 2)]
async fn slow() {}

fn main() {}
