//! Opening, closing and draining WebSockets, on both front ends.

use crate::support::test_bed::{TestBed, default_settings};
use crate::support::websocket::{ACCEPT, Frame, WebSocketClient};
use crate::support::{Gate, with_timeout};
use brubeck::prelude::*;

#[websocket("^/echo$", protocols = ["chat.v2", "chat.v1"], origins = ["https://app.example"])]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    if let Some(protocol) = socket.protocol() {
        socket.send(protocol).await?;
    }
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[websocket("^/short$")]
async fn short(socket: WebSocket) -> Result<(), Closed> {
    for n in 0..200 {
        socket.send(n.to_string()).await?;
    }
    Ok(())
}

#[websocket("^/fails$")]
async fn fails(_socket: WebSocket) -> Result<(), &'static str> {
    Err("on purpose")
}

#[websocket("^/panics$")]
async fn panics(_socket: WebSocket) {
    panic!("on purpose")
}

/// Signals its start as an arrival at the gate, and the end of its client as an arrival and an exit.
#[websocket("^/watched$")]
async fn watched(mut socket: WebSocket, gate: State<Gate>) {
    let sender = socket.sender();
    gate.signal_arrival();
    while socket.recv().await.is_some() {}
    let closed: Closed = sender.send("late").await.unwrap_err();
    assert_eq!(closed.to_string(), "the WebSocket is closed");
    // The test only counts, so the handler admits itself.
    gate.open(1);
    gate.pass().await;
}

#[get(r"^/room/(?<name>[a-z]+)$")]
async fn room(name: String, upgrade: Upgrade) -> Result<Response, Status> {
    if name == "private" {
        return Err(Status::FORBIDDEN);
    }
    Ok(upgrade.on(async move |socket: WebSocket| socket.send(name).await))
}

const ROUTES: Routes<Gate> = routes![echo, short, fails, panics, watched, room];

async fn check_open(test_bed: &TestBed) {
    let at = test_bed.address;
    let wire = WebSocketClient::open(at, "/echo").await;
    assert!(
        wire.head
            .contains(&format!("sec-websocket-accept: {}\r\n", ACCEPT.to_lowercase())),
        "{}",
        wire.head
    );
    assert!(
        !wire.head.contains("content-length") && !wire.head.contains("sec-websocket-protocol"),
        "{}",
        wire.head
    );

    let ask = async |path: &'static str, more: &'static str| WebSocketClient::handshake(at, path, more).await;
    let version = "sec-websocket-version: 13\r\n";
    let protocols = "sec-websocket-version: 13\r\nsec-websocket-protocol: other, chat.v1, chat.v2\r\n";
    let mut wire = ask("/echo", protocols).await.expect("a WebSocket");
    assert!(
        wire.head.contains("sec-websocket-protocol: chat.v2\r\n"),
        "{}",
        wire.head
    );
    assert_eq!(wire.recv_text().await, "chat.v2");

    let from = |origin: &str| format!("{version}origin: {origin}\r\n");
    assert!(
        WebSocketClient::handshake(at, "/echo", &from("https://app.example"))
            .await
            .is_ok()
    );
    assert!(
        WebSocketClient::handshake(at, "/echo", &from(&format!("http://{at}")))
            .await
            .is_ok()
    );
    for (response, status) in [
        (
            WebSocketClient::handshake(at, "/echo", &from("https://evil.example")).await,
            "403",
        ),
        (
            WebSocketClient::handshake(at, "/room/a", &from("https://app.example")).await,
            "403",
        ),
        (ask("/room/private", version).await, "403"),
        (ask("/nothing", version).await, "404"),
        (ask("/echo", "sec-websocket-version: 8\r\n").await, "426"),
        (
            WebSocketClient::handshake_raw(at, "GET /echo HTTP/1.1\r\nhost: a\r\n\r\n").await,
            "426",
        ),
    ] {
        let Err(response) = response else {
            panic!("a WebSocket instead of {status}")
        };
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {response}"
        );
    }
    assert_eq!(
        ask("/room/blue", version)
            .await
            .expect("a WebSocket")
            .recv_text()
            .await,
        "blue"
    );
}

async fn check_close(test_bed: &TestBed, gate: &Gate) {
    let at = test_bed.address;
    // Messages sent before the close arrive first, in order.
    let mut wire = WebSocketClient::open(at, "/short").await;
    for n in 0..200 {
        assert_eq!(wire.recv_text().await, n.to_string());
    }
    assert_eq!(wire.recv_close().await, Some(1000));
    assert_eq!(
        WebSocketClient::open(at, "/fails").await.recv_close().await,
        Some(1011)
    );
    assert_eq!(
        WebSocketClient::open(at, "/panics").await.recv_close().await,
        Some(1011)
    );

    // A client that closes the connection without a close frame.
    let wire = WebSocketClient::open(at, "/watched").await;
    gate.wait_for_arrivals(1).await;
    drop(wire);
    gate.wait_for_exits(1).await;
    gate.wait_for_arrivals(1).await;
    // A client that sends a close frame gets one back.
    let mut wire = WebSocketClient::open(at, "/watched").await;
    gate.wait_for_arrivals(1).await;
    wire.send(0x88, b"\x0f\xa0bye").await;
    assert_eq!(wire.recv_close().await, Some(4000));
    assert_eq!(wire.recv_frame().await, None);
    gate.wait_for_exits(1).await;
    gate.wait_for_arrivals(1).await;
}

/// Messages sent right after the handshake are not lost.
async fn check_early_messages(test_bed: &TestBed) {
    let mut wire = WebSocketClient::open(test_bed.address, "/echo").await;
    for n in 0..50 {
        wire.send_text(&n.to_string()).await;
    }
    for n in 0..50 {
        assert_eq!(wire.recv_text().await, n.to_string());
    }
}

async fn check_drain(test_bed: TestBed, gate: &Gate) {
    let mut wire = WebSocketClient::open(test_bed.address, "/watched").await;
    gate.wait_for_arrivals(1).await;
    let stopping = tokio::spawn(test_bed.stop());
    assert_eq!(
        wire.recv_frame().await,
        Some(Frame {
            first: 0x88,
            payload: 1001_u16.to_be_bytes().into()
        })
    );
    wire.send(0x88, &1001_u16.to_be_bytes()).await;
    gate.wait_for_exits(1).await;
    with_timeout(stopping).await.expect("no panic");
}

async fn check_lifecycle(test_bed: TestBed, gate: &Gate) {
    check_open(&test_bed).await;
    check_early_messages(&test_bed).await;
    check_close(&test_bed, gate).await;
    check_drain(test_bed, gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_open_close_and_drain_behind_mongrel2() {
    let gate = Gate::new();
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, gate.clone()), default_settings).await else {
        return;
    };
    check_lifecycle(test_bed, &gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_open_close_and_drain_on_the_embedded_server() {
    let gate = Gate::new();
    check_lifecycle(TestBed::embedded(App::new(ROUTES, gate.clone())).await, &gate).await;
}
