#![allow(unused)]
use brubeck::prelude::*;

struct Db;

#[derive(AppState)]
struct Site { db: Db }

fn main() {}
