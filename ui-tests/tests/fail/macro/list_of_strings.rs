#![allow(unused)]
use brubeck::prelude::*;

const ROUTES: Routes<()> = routes!["^/a"];

fn main() {}
