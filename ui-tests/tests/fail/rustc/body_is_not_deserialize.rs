#![allow(unused)]
use brubeck::prelude::*;
// Its types are called the same whatever else brubeck shows of it.
extern crate serde_json;

struct Plain;

#[post("^/slow")]
async fn slow(body: Json<Plain>) {}

fn main() {}
