#![allow(unused)]
use brubeck::prelude::*;

struct Done;

#[get("^/slow")]
async fn slow() -> Result<Done, Problem> {
    Ok(Done)
}

fn main() {}
