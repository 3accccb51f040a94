#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(?<id>\d+)$")]
async fn user(id: u64) {}

async fn test() {
    user("7").await
}

fn main() {}
