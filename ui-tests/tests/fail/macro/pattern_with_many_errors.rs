#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/(\d+)\b(a)")]
async fn handler() {}

fn main() {}
