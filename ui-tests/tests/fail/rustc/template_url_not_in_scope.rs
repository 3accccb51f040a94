#![allow(unused)]
use brubeck::prelude::*;

mod people {
    use brubeck::prelude::*;

    #[get("/person/{name}")]
    pub async fn person(name: String) {}
}

struct Plain;

#[derive(Template)]
#[template("link_not_in_scope.html")]
struct NotInScope;

#[derive(Template)]
#[template("link_not_a_handler.html")]
struct NotAHandler;

fn main() {}
