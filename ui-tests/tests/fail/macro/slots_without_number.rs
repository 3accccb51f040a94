#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/slow", slots)]
async fn slow() {}

fn main() {}
