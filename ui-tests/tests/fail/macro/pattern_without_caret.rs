#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "service/slow", method = "request")]
async fn handler() {}

fn main() {}
