#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("broken.html")]
struct Broken {}

fn main() {}
