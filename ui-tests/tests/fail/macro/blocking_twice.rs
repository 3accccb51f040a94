#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", blocking, blocking)]
fn slow() {}

fn main() {}
