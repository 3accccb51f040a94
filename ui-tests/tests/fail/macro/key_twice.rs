#![allow(unused)]
use brubeck::prelude::*;

#[web_handler(path = "^/slow", path = "^/slower")]
async fn handler() {}

fn main() {}
