#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/service/slow", method = "requst")]
async fn handler() {}

fn main() {}
