use brubeck::prelude::*;

#[websocket("^/chat$", protocols = ["chat v1"])]
async fn chat(socket: WebSocket) {}

fn main() {}
