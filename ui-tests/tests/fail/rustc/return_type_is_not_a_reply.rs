#![allow(unused)]
use brubeck::prelude::*;

struct Done;

#[get("^/slow")]
async fn slow() -> Done {
    Done
}

fn main() {}
