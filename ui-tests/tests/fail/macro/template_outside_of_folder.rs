#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("../success.html")]
struct Success { name: String }

fn main() {}
