use brubeck::prelude::*;

#[websocket("^/chat$")]
async fn chat(headers: Headers) {}

fn main() {}
