#![allow(unused)]
use brubeck::prelude::*;

use ui_tests::slow;

const ROUTES: Routes<()> = routes![ui_tests::service_index, slow];

fn main() {}
