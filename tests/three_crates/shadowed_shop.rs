//! The same table with general routes first: `catalogue::page` shadows `accounts::account`.
use brubeck::prelude::*;

#[get("^/$")]
async fn index() -> &'static str {
    "welcome"
}

const ROUTES: Routes<()> = routes![index, ..catalogue::ROUTES, ..accounts::ROUTES];

fn main() {}
