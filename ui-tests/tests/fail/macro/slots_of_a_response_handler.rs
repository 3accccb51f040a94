#![allow(unused)]
use brubeck::prelude::*;

#[response_handler(path = "^/slow", slots = 2)]
async fn slow() {}

fn main() {}
