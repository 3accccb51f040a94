#![allow(unused)]
use brubeck::prelude::*;

async fn slow() {}

const ROUTES: Routes<()> = routes![slow];

fn main() {}
