#![allow(unused)]
use brubeck::prelude::*;

struct Uuid;

#[get(r"^/user/(?<id>[0-9a-f-]+)$")]
async fn user(id: Uuid) {}

fn main() {}
