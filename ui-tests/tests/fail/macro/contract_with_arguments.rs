#![allow(unused)]
use brubeck::prelude::*;

#[service_client(name = "x")]
trait Contract {}

fn main() {}
