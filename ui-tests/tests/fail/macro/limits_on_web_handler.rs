use brubeck::prelude::*;

#[get("^/a$", concurrency = 4)]
async fn a() {}

#[post("^/b$", timeout = "5s")]
async fn b() {}

fn main() {}
