#![allow(unused)]
use brubeck::prelude::*;

#[get("^/")]
async fn index() -> String {
    1
}

fn main() {}
