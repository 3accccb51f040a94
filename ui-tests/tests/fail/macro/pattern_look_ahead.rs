#![allow(unused)]
use brubeck::prelude::*;

#[get("^/(?=user)")]
async fn handler() {}

fn main() {}
