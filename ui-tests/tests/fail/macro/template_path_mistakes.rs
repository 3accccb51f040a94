#![allow(unused)]
use brubeck::prelude::*;

#[get("/user/(?<id>[0-9]+)")]
async fn regex_without_caret(id: u64) {}
#[get("/user$")]
async fn dollar() {}
#[get("/user/{id")]
async fn unclosed(id: u64) {}
#[get("/user/id}")]
async fn unopened(id: u64) {}
#[get("/user/{id}-{tab}")]
async fn two_in_one_segment(id: u64, tab: String) {}
#[get("/files/{*rest}/raw")]
async fn rest_in_the_middle(rest: String) {}
#[get("/search?q={q}")]
async fn query(q: String) {}
#[get("/user/{id}")]
async fn misspelt(idx: u64) {}
#[get("/user/{id}")]
async fn optional(id: Option<u64>) {}

fn main() {}
