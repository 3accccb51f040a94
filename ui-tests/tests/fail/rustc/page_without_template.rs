#![allow(unused)]
use brubeck::prelude::*;

struct Success;

#[get("^/")]
async fn success() -> Page<Success> {
    Page(Success)
}

fn main() {}
