#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async unsafe fn slow() {}

fn main() {}
