#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::admin;

const ROUTES: Routes<()> = routes![..admin::ROUTES, ..admin::ROUTES];

fn main() {}
