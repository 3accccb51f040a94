#![allow(unused)]
use brubeck::prelude::*;

#[get("^/slow")]
async fn slow() {}

const ROUTES: Routes<()> = routes![slow, slow];

fn main() {}
