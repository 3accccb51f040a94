use brubeck::prelude::*;

#[websocket("^/chat$", origins = ["example.com"])]
async fn chat(socket: WebSocket) {}

fn main() {}
