#![allow(unused)]
use brubeck::prelude::*;

#[get("^/")]
async fn index() {}

const ROUTES: Routes<()> = routes![indx];

fn main() {}
