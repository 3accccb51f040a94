//! The table of `shop.rs` with general routes first: it does not compile, because `catalogue::page` shadows
//! `accounts::account`.
use brubeck::prelude::*;

#[get("^/$")]
async fn index() -> &'static str {
    "welcome"
}

const ROUTES: Routes<()> = routes![index, ..catalogue::ROUTES, ..accounts::ROUTES];

fn main() {}
