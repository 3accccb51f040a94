#![allow(unused)]
use brubeck::prelude::*;

const PATH: &str = "^/slow";
#[web_handler(path = PATH)]
async fn handler() {}

fn main() {}
