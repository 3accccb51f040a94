#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", blocking = true)]
async fn slow() {}

fn main() {}
