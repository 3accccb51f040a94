#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
fn slow() {}

fn main() {}
