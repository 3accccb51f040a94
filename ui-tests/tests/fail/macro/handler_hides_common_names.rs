#![allow(unused, non_snake_case)]
use brubeck::prelude::*;

#[get("^/u64$")]
async fn u64() {}

#[service_handler("^/str$")]
async fn str() {}

#[get("^/std$")]
async fn std() {}

#[get("^/brubeck$")]
async fn brubeck() {}

#[get("^/String$")]
async fn String() {}

#[get("^/Send$")]
async fn Send() {}

fn main() {
    let number: u64 = 5;
}
