#![deny(dead_code)]
use brubeck::prelude::*;

#[get("^/a")]
async fn listed() {}
#[get("^/b")]
async fn forgotten() {}

const ROUTES: Routes<()> = routes![listed];

fn main() {
    println!("{ROUTES:?}");
}
