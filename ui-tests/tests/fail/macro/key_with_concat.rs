#![allow(unused)]
use brubeck::prelude::*;

#[get(path = concat!("^/", "slow"))]
async fn handler() {}

fn main() {}
