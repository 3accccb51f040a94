#![allow(unused)]
use brubeck::prelude::*;

#[get("^/")]
async fn index() {}
#[response_handler("^/service/slow")]
async fn on_slow() {}

const ROUTES: Routes<()> = routes![index, on_slow];

fn main() {}
