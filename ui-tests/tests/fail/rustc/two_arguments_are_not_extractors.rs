#![allow(unused)]
use brubeck::prelude::*;

struct Claims;

#[get("^/slow")]
async fn slow(claims: Claims, number: u32) {}

fn main() {}
