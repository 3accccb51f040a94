#![allow(unused)]
use brubeck::prelude::*;

struct Plain;

#[derive(Template)]
#[template("success.html")]
struct Success { name: Plain }

fn main() {}
