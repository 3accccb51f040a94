#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[service_handler(path = "^/service", method = "request")]
async fn all() {}

const ROUTES: Routes<()> = routes![all];

serves!(ROUTES => slow_echo);

fn main() {}
