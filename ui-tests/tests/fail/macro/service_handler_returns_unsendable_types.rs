#![allow(unused)]
use brubeck::prelude::*;

#[derive(Template)]
#[template("success.html")]
struct Success {
    name: String,
}

#[service_handler("/page")]
async fn page() -> Page<Success> {
    todo!()
}

#[service_handler("/events")]
async fn events() -> Events {
    todo!()
}

#[service_handler("/body")]
async fn body() -> Result<Body, Problem> {
    todo!()
}

#[service_handler("/within", blocking)]
fn within() -> Option<(Status, Body)> {
    todo!()
}

// These can be sent.
#[service_handler("/text")]
async fn text() -> Result<(Status, String), Problem> {
    todo!()
}

#[json_socket("@page")]
async fn message() -> Page<Success> {
    todo!()
}

const ROUTES: Routes<()> = routes![page, events, body, within, text, message];

fn main() {}
