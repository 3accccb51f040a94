#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", metod = "get")]
async fn handler() {}

fn main() {}
