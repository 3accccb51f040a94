use brubeck::prelude::*;

#[derive(Template)]
#[template("include_computed.html")]
struct Greeting {
    kind: String,
}

fn main() {}
