#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", blocking)]
async fn slow() {}

fn main() {}
