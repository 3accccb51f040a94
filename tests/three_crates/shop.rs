//! A route table over three crates, with specific routes before general ones.
use brubeck::prelude::*;

#[get("^/$")]
async fn index() -> &'static str {
    "welcome"
}

const ROUTES: Routes<()> = routes![index, ..accounts::ROUTES, ..catalogue::ROUTES];

fn main() {
    let names = ["index", "account", "accounts", "offers", "page"];
    assert_eq!(ROUTES.specs().map(|spec| spec.name).collect::<Vec<_>>(), names);
    ROUTES.check().expect("a valid route table");
}
