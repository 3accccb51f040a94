#![deny(warnings)]
use brubeck::prelude::*;
use ui_tests::admin;

#[get("^/$")]
async fn index() {}

const EMPTY: Routes<()> = routes![];
const LOCAL: Routes<()> = routes![index,];

const fn by_function<S: Send + Sync + 'static>() -> Routes<S> {
    routes![ui_tests::service_index]
}

const ROUTES: Routes<()> = routes![..EMPTY, ..LOCAL, ..admin::ROUTES, ui_tests::slow, ..by_function::<()>()];
const SAME: Routes<()> = routes![..ROUTES];

fn main() {
    assert!(EMPTY.is_empty());
    let names: Vec<_> = SAME.specs().map(|spec| spec.name).collect();
    assert_eq!(names, ["index", "users", "index", "slow", "service_index"]);
}
