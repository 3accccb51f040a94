#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
struct Success { name: String }

fn main() {}
