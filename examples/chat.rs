//! A chat room: one WebSocket per page, and one broadcast per message.
//!
//! Run it with `cargo run --example chat`, or behind Mongrel2 with `cargo run --example chat -- --mongrel2`

mod front;

use brubeck::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Template)]
#[template("chat/page.html")]
struct Room {}

#[get("^/$")]
async fn index() -> Page<Room> {
    Page(Room {})
}

/// A message from a page.
#[derive(Deserialize)]
struct ChatInput {
    name: String,
    text: String,
}

/// A message to all pages.
#[derive(Serialize)]
struct ChatMessage<'a> {
    name: &'a str,
    text: &'a str,
    members: usize,
}

#[websocket("^/chat$")]
async fn chat(mut socket: WebSocket, room: State<Broadcast>) {
    let subscription = room.join(&socket);
    broadcast(&room, "", "A new member joined.").await;
    while let Some(message) = socket.recv().await {
        match message.read::<ChatInput>() {
            Ok(input) if !input.text.trim().is_empty() => {
                broadcast(&room, input.name.trim(), input.text.trim()).await;
            }
            Ok(_) => {}
            Err(_) => return socket.close(Close::new(1008, "not a chat message")),
        }
    }
    drop(subscription);
    broadcast(&room, "", "A member left.").await;
}

async fn broadcast(room: &Broadcast, name: &str, text: &str) {
    let message = ChatMessage {
        name,
        text,
        members: room.len(),
    };
    if let Ok(message) = SocketMessage::json(&message) {
        room.send(message).await;
    }
}

const ROUTES: Routes<Broadcast> = routes![index, chat];

#[tokio::main]
async fn main() -> brubeck::Result {
    let app = App::new(ROUTES, Broadcast::new()).body_limit(4096);
    front::serve(app, ROUTES, |config| config).await
}
