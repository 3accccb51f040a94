#![allow(unused)]
use brubeck::prelude::*;

#[get("^/[a-z")]
async fn handler() {}

fn main() {}
