use brubeck::prelude::*;

#[get(path: "^/a$")]
async fn colon() {}

#[get(path("^/b$"))]
async fn parentheses() {}

#[service_handler(path = , concurrency = 2)]
async fn nothing() {}

#[websocket("^/c$", protocols = "chat.v1")]
async fn not_a_list(socket: WebSocket) {}

fn main() {}
