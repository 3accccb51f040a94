#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/service/slow", method = "patch")]
async fn handler() {}

fn main() {}
