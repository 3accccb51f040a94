#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow(#[cfg(unix)] body: Text) {}

fn main() {}
