#![allow(unused)]
use brubeck::prelude::*;

#[get("^/admin/u")]
async fn u() {}

const ROUTES: Routes<()> = routes![u, ..ui_tests::admin::ROUTES];

fn main() {}
