use brubeck::prelude::*;

#[derive(Template)]
#[template("block_misspelt.html")]
struct Greeting {
    title: String,
}

fn main() {}
