#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/a/\.\./b$")]
async fn regex() {}
#[get("/a/./b")]
async fn template() {}

fn main() {}
