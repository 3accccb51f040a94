#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("page.html")]
struct Shown { body: String }

fn main() {}
