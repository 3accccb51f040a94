#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(\d+)$")]
async fn handler() {}

fn main() {}
