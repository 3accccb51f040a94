#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(?<id>\d+)$")]
async fn user(id: Option<u32>) {}

fn main() {}
