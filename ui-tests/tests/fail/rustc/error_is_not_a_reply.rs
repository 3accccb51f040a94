#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow() -> Result<&'static str, std::io::Error> {
    Ok("")
}

fn main() {}
