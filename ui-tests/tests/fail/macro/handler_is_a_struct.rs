#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
struct Slow;

fn main() {}
