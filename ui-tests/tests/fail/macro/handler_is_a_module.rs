#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
mod slow {}

fn main() {}
