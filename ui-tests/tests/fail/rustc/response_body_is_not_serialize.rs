#![allow(unused)]
use brubeck::prelude::*;

struct Plain;

#[get("^/slow")]
async fn slow() -> Json<Plain> {
    Json(Plain)
}

fn main() {}
