#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", concurrency)]
async fn slow() {}

fn main() {}
