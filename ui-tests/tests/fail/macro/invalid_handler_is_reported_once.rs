#![allow(unused)]
use brubeck::prelude::*;

#[get("^/(")]
async fn index(id: u32) {}

const ROUTES: Routes<()> = routes![index];

fn main() {}
