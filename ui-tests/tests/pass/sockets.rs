#![deny(warnings)]
use brubeck::prelude::*;

#[websocket(r"^/chat/(?<room>[a-z]+)$", protocols = ["chat.v1"], origins = ["https://example.com"])]
async fn chat(room: String, mut socket: WebSocket) -> Result<(), Closed> {
    socket.send(room).await?;
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[json_socket("@lobby")]
async fn lobby(text: Arg<String>) -> Json<String> {
    Json(text.0)
}

const ROUTES: Routes<()> = routes![chat, lobby];

fn main() {
    assert_eq!(ROUTES.len(), 2);
}
