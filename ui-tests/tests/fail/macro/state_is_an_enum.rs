#![allow(unused)]
use brubeck::prelude::*;

#[derive(AppState)]
enum Site { A }

fn main() {}
