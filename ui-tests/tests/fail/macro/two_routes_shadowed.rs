#![allow(unused)]
use brubeck::prelude::*;

#[get("^/")]
async fn index() {}
#[get("^/a")]
async fn a() {}
#[get("^/b")]
async fn b() {}

const ROUTES: Routes<()> = routes![index, a, b];

fn main() {}
