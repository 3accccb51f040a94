#![allow(unused)]
use brubeck::prelude::*;

#[get("/user/{id}")]
async fn user(id: u64) {}

#[derive(Template)]
#[template("link_without_value.html")]
struct WithoutValue;

#[derive(Template)]
#[template("link_with_other_name.html")]
struct OtherName;

#[derive(Template)]
#[template("link_doubled.html")]
struct Doubled;

#[derive(Template)]
#[template("link_computed.html")]
struct Computed {
    name: String,
}

fn main() {}
