#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow(body: Json<Option<&str>>) {}

fn main() {}
