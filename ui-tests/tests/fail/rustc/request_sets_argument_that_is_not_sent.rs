#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = "^/service/slow")]
async fn slow(headers: Headers) {}

fn request() {
    let _ = slow::request().headers(5);
}

fn main() {}
