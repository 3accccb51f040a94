//! The same with the general first: `catalogue::page` takes every path of `accounts::account`.
use brubeck::prelude::*;

#[get("^/$")]
async fn index() -> &'static str {
    "welcome"
}

const ROUTES: Routes<()> = routes![index, ..catalogue::ROUTES, ..accounts::ROUTES];

fn main() {}
