//! Message sockets: JSON and XML messages that end in a NUL, on the same port as HTTP.

use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::websocket::WebSocketClient;
use crate::support::{Gate, behaviour, with_timeout};
use brubeck::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[derive(serde::Deserialize, serde::Serialize)]
struct ChatMessage {
    text: String,
}

#[json_socket("@chat")]
async fn chat(message: Json<ChatMessage>) -> Reply<ChatMessage> {
    Reply::new(ChatMessage {
        text: message.0.text.to_uppercase(),
    })
}

#[json_socket("<chat")]
async fn markup(message: Message) -> Vec<u8> {
    message.body().to_vec()
}

#[get("^/hello$")]
async fn hello() -> &'static str {
    "hello"
}

const ROUTES: Routes<()> = routes![chat, markup, hello];

/// Sends a message and returns the response, with its final NUL.
async fn request(stream: &mut BufReader<TcpStream>, text: &str) -> String {
    with_timeout(async {
        stream
            .write_all(text.as_bytes())
            .await
            .expect("an open connection");
        stream.write_all(b"\0").await.expect("an open connection");
        let mut response = Vec::new();
        stream
            .read_until(0, &mut response)
            .await
            .expect("an open connection");
        String::from_utf8(response).expect("UTF-8")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_sockets_share_the_port_with_http() {
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, ()), default_settings).await else {
        return;
    };
    let stream = TcpStream::connect(test_bed.address).await.expect("a server");
    let mut stream = BufReader::new(stream);
    assert_eq!(
        request(&mut stream, r#"@chat {"text":"hello"}"#).await,
        "{\"text\":\"HELLO\"}\0"
    );
    assert_eq!(
        request(&mut stream, "<chat><b>hello</b>").await,
        "<chat><b>hello</b>\0"
    );
    let refused = request(&mut stream, r#"@chat {"text":7}"#).await;
    assert!(refused.contains("400") && refused.ends_with('\0'), "{refused}");
    // Looks like a disconnect notice, which only Mongrel2 may send.
    let forged = request(&mut stream, r#"@chat {"type":"disconnect"}"#).await;
    assert!(forged.contains("400"), "{forged}");
    assert_eq!(
        request(&mut stream, r#"@chat {"text":"still open"}"#).await,
        "{\"text\":\"STILL OPEN\"}\0"
    );
    with_timeout(stream.write_all(behaviour::request("/hello").as_bytes()))
        .await
        .expect("an open connection");
    let mut line = String::new();
    with_timeout(stream.read_line(&mut line))
        .await
        .expect("an open connection");
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    test_bed.stop().await;
}

#[derive(AppState)]
struct Newsroom {
    news: Broadcast,
    gate: Gate,
}

#[derive(serde::Deserialize)]
struct SubscribeRequest {
    name: String,
}

/// Subscribes the client to the broadcast, and responds with the number of subscribers.
#[json_socket("@news")]
async fn subscribe(
    subscriber: Json<SubscribeRequest>,
    client: SocketSender,
    news: State<Broadcast>,
) -> String {
    news.until_closed(&client);
    format!("{} is one of {}", subscriber.0.name, news.len())
}

/// Subscribes a WebSocket to the same broadcast.
#[websocket("^/news$")]
async fn watch(mut socket: WebSocket, news: State<Broadcast>, gate: State<Gate>) {
    let _member = news.join(&socket);
    gate.signal_arrival();
    while socket.recv().await.is_some() {}
}

/// Sends three messages each time the gate opens, twice. Then waits at the gate once more, closes the connection and
/// signals that to the test.
#[json_socket("@clock")]
async fn clock(client: SocketSender, gate: State<Gate>) -> &'static str {
    let gate = gate.0.clone();
    tokio::spawn(async move {
        for n in 0..2 {
            gate.pass().await;
            for part in 0..3 {
                client.send(format!("{n}.{part}")).await.expect("a client");
            }
        }
        gate.pass().await;
        client.close(Close::NORMAL);
        client.closed().await;
        assert!(client.send("late").await.is_err());
        gate.signal_arrival();
    });
    "started"
}

/// Signals the end of its client to the test.
#[json_socket("@watched")]
async fn watched(client: SocketSender, gate: State<Gate>) -> &'static str {
    let gate = gate.0.clone();
    tokio::spawn(async move {
        client.closed().await;
        gate.signal_arrival();
    });
    "watched"
}

#[json_socket("@never")]
async fn never(gate: State<Gate>) {
    gate.pass().await;
}

/// Never runs: `SocketSender` exists only in handlers of message sockets.
#[get("^/no-sender$")]
async fn no_sender(_client: SocketSender) {}

const PUSHED: Routes<Newsroom> = routes![subscribe, watch, clock, watched, never, no_sender];
const NAMES: &[&str] = &["/", "@news", "@clock", "@watched", "@never"];

async fn newsroom(
    test_bed: impl AsyncFnOnce(App<Newsroom>) -> Option<TestBed>,
) -> Option<(TestBed, Broadcast, Gate)> {
    let (news, gate) = (Broadcast::new(), Gate::new());
    let newsroom = Newsroom {
        news: news.clone(),
        gate: gate.clone(),
    };
    let app = App::new(PUSHED, newsroom).timeout(Duration::from_millis(200));
    Some((test_bed(app).await?, news, gate))
}

async fn behind(app: App<Newsroom>) -> Option<TestBed> {
    TestBed::mongrel2_with_routes(app, NAMES, default_settings).await
}

async fn client(test_bed: &TestBed) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(test_bed.address).await.expect("a server"))
}

/// Returns the next message without its final NUL.
async fn read_message(stream: &mut BufReader<TcpStream>) -> String {
    let mut message = Vec::new();
    with_timeout(stream.read_until(0, &mut message))
        .await
        .expect("an open connection");
    assert_eq!(message.pop(), Some(0), "the connection ended");
    String::from_utf8(message).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_reaches_message_sockets_and_websockets() {
    let Some((test_bed, news, gate)) = newsroom(behind).await else {
        return;
    };
    let mut page = WebSocketClient::open(test_bed.address, "/news").await;
    gate.wait_for_arrivals(1).await;
    let mut clients = Vec::new();
    for n in 1..=10 {
        let mut client = client(&test_bed).await;
        let response = request(&mut client, &format!(r#"@news {{"name":"{n}"}}"#)).await;
        assert_eq!(response, format!("{n} is one of {}\0", n + 1));
        clients.push(client);
    }
    // A second subscription of the same client has no effect.
    let response = request(&mut clients[3], r#"@news {"name":"again"}"#).await;
    assert_eq!(response, "again is one of 11\0");
    // A response is counted shortly after it was sent. One was sent to the WebSocket, and eleven to message sockets.
    wait_until(|| test_bed.counts.messages() >= 12).await;
    let before = test_bed.counts.messages();
    for n in 0..10 {
        assert_eq!(news.send(format!("{{\"news\":{n}}}")).await, 11);
        for client in &mut clients {
            assert_eq!(read_message(client).await, format!("{{\"news\":{n}}}"));
        }
        assert_eq!(page.recv_text().await, format!("{{\"news\":{n}}}"));
    }
    // Each broadcast takes one message for the ten clients, and one for the WebSocket.
    wait_until(|| test_bed.counts.messages() >= before + 20).await;
    assert_eq!(test_bed.counts.messages(), before + 20);
    // A disconnect notice ends the subscription.
    clients.truncate(4);
    wait_until(|| news.len() == 5).await;
    assert_eq!(news.send("to the remaining").await, 5);
    for client in &mut clients {
        assert_eq!(read_message(client).await, "to the remaining");
        assert_eq!(request(client, r#"@news {"name":"x"}"#).await, "x is one of 5\0");
    }
    drop(clients);
    drop(page);
    wait_until(|| news.is_empty()).await;
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_socket_client_receives_pushes_until_closed() {
    let Some((test_bed, _, gate)) = newsroom(behind).await else {
        return;
    };
    let mut first = client(&test_bed).await;
    assert_eq!(request(&mut first, "@clock {}").await, "started\0");
    for n in 0..2 {
        gate.wait_for_arrivals(1).await;
        gate.open(1);
        for part in 0..3 {
            assert_eq!(read_message(&mut first).await, format!("{n}.{part}"));
        }
        // Responses to requests still arrive between pushes.
        assert!(request(&mut first, "@never {}").await.contains("504"));
        gate.wait_for_arrivals(1).await;
    }
    gate.wait_for_arrivals(1).await;
    gate.open(1);
    let mut rest = Vec::new();
    with_timeout(first.read_to_end(&mut rest))
        .await
        .expect("a closed connection");
    assert_eq!(rest, b"");
    gate.wait_for_arrivals(1).await;

    let mut second = client(&test_bed).await;
    assert_eq!(request(&mut second, "@watched {}").await, "watched\0");
    drop(second);
    gate.wait_for_arrivals(1).await;

    // A draining application closes the connection, so that the client reconnects.
    let mut third = client(&test_bed).await;
    assert_eq!(request(&mut third, "@watched {}").await, "watched\0");
    test_bed.running.handle().drain();
    with_timeout(third.read_to_end(&mut rest))
        .await
        .expect("a closed connection");
    gate.wait_for_arrivals(1).await;
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_sender_is_500_outside_message_sockets() {
    let test_bed = async |app| Some(TestBed::embedded(app).await);
    let Some((test_bed, ..)) = newsroom(test_bed).await else {
        return;
    };
    let response = test_bed.browser().await.get("/no-sender").await;
    assert_eq!(response.status, 500);
    assert!(
        response.text().contains("message socket handlers"),
        "{response:?}"
    );
    test_bed.stop().await;
}
