#![allow(unused)]
use brubeck::prelude::*;

#[get]
async fn handler() {}

fn main() {}
