#![allow(unused)]
use brubeck::prelude::*;

#[get("^/user$/me")]
async fn handler() {}

fn main() {}
