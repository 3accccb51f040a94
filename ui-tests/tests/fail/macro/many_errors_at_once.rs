#![allow(unused)]
use brubeck::prelude::*;

#[service_handler(path = r"^/user/(?<id>\d+)(?<x>y)?$", method = "patch", kind = "a")]
fn user<T>(x: u8) {}

fn main() {}
