use brubeck::prelude::*;

#[derive(Template)]
#[template("success.html", filter = ["shout"])]
struct Greeting {
    name: String,
}

fn main() {}
