#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow(body: impl Sized) {}

fn main() {}
