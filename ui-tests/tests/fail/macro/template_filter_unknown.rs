use brubeck::prelude::*;

#[derive(Template)]
#[template("filter_misspelt.html")]
struct Greeting {
    name: String,
}

fn main() {}
