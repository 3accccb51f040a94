#![allow(unused)]
use brubeck::prelude::*;

struct Claims;

#[get("^/slow")]
async fn slow(claims: Claims) {}

const ROUTES: Routes<()> = routes![slow];

fn main() {}
