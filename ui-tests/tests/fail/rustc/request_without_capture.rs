#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = r"^/service/(?<id>\d+)$")]
async fn slow(id: u64) {}

fn request() {
    let _ = slow::request();
}

fn main() {}
