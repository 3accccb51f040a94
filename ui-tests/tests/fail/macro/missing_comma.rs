#![allow(unused)]
use brubeck::prelude::*;

#[web_handler(path = "^/slow" method = "get")]
async fn handler() {}

fn main() {}
