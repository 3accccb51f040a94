#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/(?x) user")]
async fn handler() {}

fn main() {}
