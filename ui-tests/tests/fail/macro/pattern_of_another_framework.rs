#![allow(unused)]
use brubeck::prelude::*;

#[get("/user/{id:[0-9]+}")]
async fn braces(id: u64) {}
#[get("/user/<id>/<rest..>")]
async fn angles(id: u64, rest: String) {}
#[get("/user/:id")]
async fn colon(id: u64) {}
#[get("^/user/{id}$")]
async fn regex(id: u64) {}

fn main() {}
