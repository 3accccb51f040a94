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

fn app() -> App<Broadcast> {
    App::new(ROUTES, Broadcast::new()).message_limit(4096)
}

#[tokio::main]
async fn main() -> brubeck::Result {
    front::serve(app(), ROUTES, |config| config).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use brubeck::testing::TestClient;
    use serde_json::json;

    /// Two members in one process, without sockets. The clock is paused, so no time-out takes time.
    #[tokio::test(start_paused = true)]
    async fn members_see_what_the_others_write() {
        let client = TestClient::new(app());
        let mut ann = client.websocket("/chat").await;
        let joined = |members| json!({ "name": "", "text": "A new member joined.", "members": members });
        ann.assert_json(joined(1)).await;
        let mut ben = client.websocket("/chat").await;
        ann.assert_json(joined(2)).await;
        ben.assert_json(joined(2)).await;

        ann.send_json(&json!({ "name": " Ann ", "text": "Hello!" })).await;
        for member in [&mut ann, &mut ben] {
            member
                .assert_json(json!({ "name": "Ann", "text": "Hello!", "members": 2 }))
                .await;
        }

        ben.close(Close::NORMAL).await;
        ann.assert_json(json!({ "name": "", "text": "A member left.", "members": 1 }))
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_a_chat_message_closes_the_connection() {
        let client = TestClient::new(app());
        for message in ["hello", "{}", "[1]"] {
            let mut member = client.websocket("/chat").await;
            assert!(member.recv().await.is_some());
            member.send(message).await;
            member.assert_closed(1008).await;
        }
        let mut member = client.websocket("/chat").await;
        assert!(member.recv().await.is_some());
        member.send("x".repeat(5000)).await;
        member.assert_closed(1009).await;
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_other_sites_cannot_join() {
        let client = TestClient::new(app());
        let handshake = client.websocket("/chat").origin("https://evil.example");
        handshake.rejection().await.assert_status(403);
        client.get("/chat").await.assert_status(426);
        client
            .get("/")
            .await
            .assert_status(200)
            .assert_contains("WebSocket");
    }
}
