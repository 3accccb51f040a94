#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow() -> impl Sized {
    1
}

fn main() {}
