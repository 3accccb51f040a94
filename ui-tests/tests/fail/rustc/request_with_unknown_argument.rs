#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/service/slow")]
async fn slow(count: Arg<u32>) {}

fn request() {
    let _ = slow::request().cuont(5u32);
}

fn main() {}
