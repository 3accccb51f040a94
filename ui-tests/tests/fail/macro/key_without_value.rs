#![allow(unused)]
use brubeck::prelude::*;

#[web_handler(path = "^/slow", method)]
async fn handler() {}

fn main() {}
