#![allow(unused)]
use brubeck::prelude::*;

#[get("^/a")]
async fn a() {}

const ROUTES: Routes<()> = routes![#[cfg(unix)] a];

fn main() {}
