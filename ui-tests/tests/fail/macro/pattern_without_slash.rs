#![allow(unused)]
use brubeck::prelude::*;

#[get("^service")]
async fn handler() {}

fn main() {}
