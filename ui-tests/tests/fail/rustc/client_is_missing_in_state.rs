#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::contract::*;

#[get("^/")]
async fn index(slow: SlowEchoClient) {}

const ROUTES: Routes<()> = routes![index];

fn main() {}
