#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("success.html")]
enum Success { A }

fn main() {}
