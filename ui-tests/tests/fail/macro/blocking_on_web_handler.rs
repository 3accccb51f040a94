#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow", blocking)]
async fn slow() {}

fn main() {}
