#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("success.html")]
struct Success { nam: String }

#[get("^/")]
async fn success() -> Page<Success> {
    Page(Success { nam: String::new() })
}

fn main() {}
