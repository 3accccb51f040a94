#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("sucess.html")]
struct Success { name: String }

fn main() {}
