#![allow(unused)]
use brubeck::prelude::*;

#[get("^/[é]")]
async fn handler() {}

fn main() {}
