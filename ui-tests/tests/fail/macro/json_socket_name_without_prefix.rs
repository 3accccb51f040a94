use brubeck::prelude::*;

#[json_socket("chat")]
async fn chat(text: Arg<String>) {}

fn main() {}
