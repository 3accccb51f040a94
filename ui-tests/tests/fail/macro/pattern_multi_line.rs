#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/(?m)user$")]
async fn handler() {}

fn main() {}
