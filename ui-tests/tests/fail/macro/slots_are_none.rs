#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", slots = 0)]
async fn slow() {}

fn main() {}
