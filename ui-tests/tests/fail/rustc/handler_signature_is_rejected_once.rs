use brubeck::prelude::*;

#[get("^/borrowed$")]
async fn borrowed() -> &str {
    "text"
}

#[get("^/inferred$")]
async fn inferred(text: _) {}

#[service_handler("^/twice$")]
async fn twice(_x: Arg<u32>, _x: Arg<u32>) {}

fn main() {}
