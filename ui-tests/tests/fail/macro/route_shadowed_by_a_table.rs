#![allow(unused)]
use brubeck::prelude::*;

#[get("^/admin/roles")]
async fn roles() {}

const ROUTES: Routes<()> = routes![..ui_tests::admin::ROUTES, roles];

fn main() {}
