#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
struct Contract;

fn main() {}
