#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/[a\pL]+$")]
async fn handler() {}

fn main() {}
