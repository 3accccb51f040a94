#![allow(unused)]
use brubeck::prelude::*;

#[derive(Clone, AppState)]
struct Site {
    users: String,
    posts: String,
}

fn main() {}
