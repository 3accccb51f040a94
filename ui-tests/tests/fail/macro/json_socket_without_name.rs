use brubeck::prelude::*;

#[json_socket]
async fn chat(text: Arg<String>) {}

fn main() {}
