#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(?<id>\d+)$")]
async fn user(idx: u32) {}

fn main() {}
