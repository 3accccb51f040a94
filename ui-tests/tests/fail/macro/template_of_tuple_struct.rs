#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("success.html")]
struct Success(String);

fn main() {}
