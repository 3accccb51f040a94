#![allow(unused)]
use brubeck::prelude::*;

#[web_handler(path = "^/slow", method = "request")]
async fn handler() {}

fn main() {}
