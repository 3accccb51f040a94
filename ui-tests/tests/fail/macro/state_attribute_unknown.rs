#![allow(unused)]
use brubeck::prelude::*;

#[derive(Clone, AppState)]
struct Site {
    #[state(hidden)]
    users: String,
}

fn main() {}
