#![allow(unused)]
use brubeck::prelude::*;

struct Done;

#[get("^/slow")]
async fn slow() -> Result<Done, Fault> {
    Ok(Done)
}

fn main() {}
