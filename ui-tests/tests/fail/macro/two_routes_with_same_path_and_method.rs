#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow() {}
#[get("^/slow")]
async fn slow_again() {}

const ROUTES: Routes<()> = routes![slow, slow_again];

fn main() {}
