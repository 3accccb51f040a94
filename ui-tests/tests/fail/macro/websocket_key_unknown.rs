use brubeck::prelude::*;

#[websocket("^/chat$", protocol = ["chat.v1"])]
async fn chat(socket: WebSocket) {}

fn main() {}
