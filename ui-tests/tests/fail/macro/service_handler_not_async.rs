#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow")]
fn slow() {}

fn main() {}
