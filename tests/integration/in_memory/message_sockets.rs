//! Message sockets of `TestClient`.

use brubeck::prelude::*;
use brubeck::testing::TestClient;
use serde_json::json;
use std::time::Duration;

#[json_socket("@news")]
async fn news(client: SocketSender, topic: Option<Arg<String>>, news: State<Broadcast>) -> Status {
    match topic.as_deref().map(String::as_str) {
        Some("bye") => client.close(Close::NORMAL),
        Some("hello") => drop(client.send("hello\0you").await),
        _ => news.until_closed(&client),
    }
    Status::OK
}

#[json_socket("<markup")]
async fn markup(message: Message) -> Vec<u8> {
    message.body().to_ascii_uppercase()
}

const ROUTES: Routes<Broadcast> = routes![news, markup];

#[tokio::test(start_paused = true)]
async fn message_sockets_work_as_behind_mongrel2() {
    let room = Broadcast::new();
    let client = TestClient::new(App::new(ROUTES, room.clone()));
    let mut first = client.message_socket("@news");
    let mut second = client.message_socket("@news");
    first.send("{}").await;
    second.send_json(&json!({ "topic": "any" })).await;
    room.send("Take Five").await;
    first.assert_text("Take Five").await;
    second.assert_text("Take Five").await;
    first.assert_silent(Duration::from_secs(3600)).await;
    second.send_json(&json!({ "topic": "hello" })).await;
    second.assert_text("helloyou").await;
    drop(second);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(room.len(), 1);
    first.send_json(&json!({ "topic": "bye" })).await;
    assert_eq!(first.recv().await, None);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(room.len(), 0);
    first.send("not JSON").await;

    let mut xml = client.message_socket("<markup");
    xml.send("<markup>a</markup>").await;
    xml.assert_text("<MARKUP>A</MARKUP>").await;
    let mut unknown = client.message_socket("@unknown");
    unknown.send("{}").await;
    unknown
        .assert_json(json!({ "status": 404, "reason": "Not Found" }))
        .await;
}
