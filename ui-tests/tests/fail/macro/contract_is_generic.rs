#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract<T> {}

fn main() {}
