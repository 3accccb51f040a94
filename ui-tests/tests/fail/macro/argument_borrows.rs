#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(?<name>\w+)$")]
async fn user(name: &str) {}

fn main() {}
