use brubeck::prelude::*;

#[websocket("/chat", origins = ["https://example.com", "https://*.example.org", "wss://example.net/chat"])]
async fn chat(socket: WebSocket) {
    drop(socket);
}

fn main() {}
