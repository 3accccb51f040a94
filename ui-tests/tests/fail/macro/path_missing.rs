#![allow(unused)]
use brubeck::prelude::*;

#[service_handler]
async fn handler() {}

fn main() {}
