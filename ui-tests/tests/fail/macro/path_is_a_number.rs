#![allow(unused)]
use brubeck::prelude::*;

#[get(404)]
async fn handler() {}

fn main() {}
