#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/service/slow", method = "GET")]
async fn handler() {}

fn main() {}
