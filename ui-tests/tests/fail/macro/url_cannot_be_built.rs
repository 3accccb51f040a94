#![allow(unused)]
use brubeck::prelude::*;
use brubeck::url;

#[get("/user/{id}")]
async fn user(id: u64) {}
#[get("^/(?:a|b)/(?<id>[0-9]+)$")]
async fn either(id: u64) {}
#[service_handler(path = "/service/{id}")]
async fn service(id: u64) {}

const ROUTES: Routes<()> = routes![user];
const TWICE: Routes<()> = routes!["/a" => ..ROUTES, "/b" => ..ROUTES];

fn main() {
    let missing = url!(user);
    let unknown = url!(user, id = 7, tab = "x");
    let twice = url!(user, id = 7, id = 8);
    let complex = url!(either, id = 7);
    let call = url!(service, id = 7);
    let unlisted = url!(ROUTES, either, id = 7);
    let ambiguous = url!(TWICE, user, id = 7);
}
