//! One table over three crates: the special before the general.
use brubeck::prelude::*;

#[get("^/$")]
async fn index() -> &'static str {
    "welcome"
}

const ROUTES: Routes<()> = routes![index, ..accounts::ROUTES, ..catalogue::ROUTES];

fn main() {
    let names = ["index", "account", "accounts", "offers", "page"];
    assert_eq!(ROUTES.specs().map(|spec| spec.name).collect::<Vec<_>>(), names);
    ROUTES.check().expect("every route is reached by a path of its own");
}
