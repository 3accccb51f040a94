#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/(?<id>\d+)/(?<id>\d+)$")]
async fn handler(id: u32) {}

fn main() {}
