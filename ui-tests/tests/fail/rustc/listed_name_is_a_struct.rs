#![allow(unused)]
use brubeck::prelude::*;

struct Slow;

const ROUTES: Routes<()> = routes![Slow];

fn main() {}
