#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/(?:user/(?<id>\d+)|me)$")]
async fn user(id: u32) {}

fn main() {}
