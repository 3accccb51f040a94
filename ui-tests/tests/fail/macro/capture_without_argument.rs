#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(?<id>\d+)$")]
async fn user() {}

fn main() {}
