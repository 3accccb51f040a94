#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow", method = "post")]
async fn handler() {}

fn main() {}
