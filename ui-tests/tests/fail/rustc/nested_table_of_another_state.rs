#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::admin;

struct Site;

const ROUTES: Routes<Site> = routes![..admin::ROUTES];

fn main() {}
