#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/(?<id>\d+)/\1")]
async fn handler(id: u32) {}

fn main() {}
