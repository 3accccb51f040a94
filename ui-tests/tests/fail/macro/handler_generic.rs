#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow<T>(body: Json<T>) {}

fn main() {}
