#![allow(unused)]
use brubeck::prelude::*;

const ROUTES: Routes<()> = routes![];

serves!(ROUTES, slow_echo);

fn main() {}
