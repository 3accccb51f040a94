#![allow(unused)]
use brubeck::prelude::*;

#[get("^/$")]
async fn index() {}
#[get(r"^/user/(?<id>\d+)$")]
async fn user(id: u32) {}
#[get(r"^/user/(?<key>[0-9a-f]+)$")]
async fn user_by_key(key: String) {}

const ROUTES: Routes<()> = routes![user_by_key, index, user];

fn main() {}
