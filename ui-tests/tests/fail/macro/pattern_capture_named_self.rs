#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/(?<self>\d+)$")]
async fn handler() {}

fn main() {}
