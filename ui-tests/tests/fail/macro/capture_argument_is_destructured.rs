#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(?<id>\d+)$")]
async fn user((id, _): (u32, u32)) {}

fn main() {}
