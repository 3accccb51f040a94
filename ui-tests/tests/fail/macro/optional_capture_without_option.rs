#![allow(unused)]
use brubeck::prelude::*;

#[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$")]
async fn user(id: u32, tab: String) {}

fn main() {}
