#![allow(unused)]
use brubeck::prelude::*;

#[get("^/a")]
async fn a() {}
#[post("^/a/b")]
async fn b() {}

const ROUTES: Routes<()> = routes![a, b];

fn main() {}
