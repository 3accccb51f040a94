#![allow(unused)]
use brubeck::prelude::*;

struct Claims;

#[get("^/slow")]
async fn slow(claims: Claims) {}

fn main() {}
