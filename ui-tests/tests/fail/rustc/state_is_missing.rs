#![allow(unused)]
use brubeck::prelude::*;

#[derive(Clone)]
struct Db;
#[derive(Clone)]
struct Site;

#[get("^/slow")]
async fn slow(db: State<Db>) {}

const ROUTES: Routes<Site> = routes![slow];

fn main() {}
