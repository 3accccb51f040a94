#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow<'a>(body: Json<&'a str>) {}

fn main() {}
