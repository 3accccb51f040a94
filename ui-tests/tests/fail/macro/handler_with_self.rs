#![allow(unused)]
use brubeck::prelude::*;

struct Slow;
impl Slow {
    #[get("^/slow")]
    async fn slow(&self) {}
}

fn main() {}
