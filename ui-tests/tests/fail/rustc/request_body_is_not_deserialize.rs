#![allow(unused)]
use brubeck::prelude::*;

struct Plain;

#[post("^/slow")]
async fn slow(body: Json<Plain>) {}

fn main() {}
