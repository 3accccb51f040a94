#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user\b")]
async fn handler() {}

fn main() {}
