#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", concurrency = 0)]
async fn slow() {}

fn main() {}
