//! A chat: one WebSocket for each page, one broadcast for each message.
//!
//! `cargo run --example chat`, and with a real Mongrel2 in front `cargo run --example chat -- --mongrel2`

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

/// What a page says.
#[derive(Deserialize)]
struct Said {
    name: String,
    text: String,
}

/// What all pages hear.
#[derive(Serialize)]
struct Heard<'a> {
    name: &'a str,
    text: &'a str,
    here: usize,
}

#[websocket("^/chat$")]
async fn chat(mut socket: WebSocket, room: State<Broadcast>) {
    let member = room.join(&socket);
    tell(&room, "", "Somebody came in.").await;
    while let Some(message) = socket.recv().await {
        match message.read::<Said>() {
            Ok(said) if !said.text.trim().is_empty() => tell(&room, said.name.trim(), said.text.trim()).await,
            Ok(_) => {}
            Err(_) => return socket.close(Close::new(1008, "that was no message of a chat")),
        }
    }
    drop(member);
    tell(&room, "", "Somebody left.").await;
}

async fn tell(room: &Broadcast, name: &str, text: &str) {
    let heard = Heard {
        name,
        text,
        here: room.len(),
    };
    if let Ok(message) = SocketMessage::json(&heard) {
        room.send(message).await;
    }
}

const ROUTES: Routes<Broadcast> = routes![index, chat];

#[tokio::main]
async fn main() -> brubeck::Result {
    let app = App::new(ROUTES, Broadcast::new()).body_limit(4096);
    front::serve(app, ROUTES, |config| config).await
}
