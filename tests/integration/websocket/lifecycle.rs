//! How a WebSocket opens, what its handler sees, and how it ends: on both front ends.

use crate::support::laboratory::{Laboratory, plain};
use crate::support::websocket::{ACCEPT, Frame, Wire};
use crate::support::{Gate, within};
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
    Err("as the test wants it")
}

#[websocket("^/panics$")]
async fn panics(_socket: WebSocket) {
    panic!("as the test wants it")
}

/// Tells the gate when it runs, and when its client has gone.
#[websocket("^/watched$")]
async fn watched(mut socket: WebSocket, gate: State<Gate>) {
    let sender = socket.sender();
    gate.knock();
    while socket.recv().await.is_some() {}
    assert_eq!(sender.send("late").await, Err(Closed));
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

async fn opens_as_it_should(laboratory: &Laboratory) {
    let at = laboratory.address;
    let wire = Wire::open(at, "/echo").await;
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

    let ask = async |path: &'static str, more: &'static str| Wire::ask(at, path, more).await;
    let version = "sec-websocket-version: 13\r\n";
    let spoken = "sec-websocket-version: 13\r\nsec-websocket-protocol: other, chat.v1, chat.v2\r\n";
    let mut wire = ask("/echo", spoken).await.expect("a WebSocket");
    assert!(
        wire.head.contains("sec-websocket-protocol: chat.v2\r\n"),
        "{}",
        wire.head
    );
    assert_eq!(wire.heard().await, "chat.v2");

    let from = |origin: &str| format!("{version}origin: {origin}\r\n");
    assert!(Wire::ask(at, "/echo", &from("https://app.example")).await.is_ok());
    assert!(
        Wire::ask(at, "/echo", &from(&format!("http://{at}")))
            .await
            .is_ok()
    );
    for (answer, status) in [
        (Wire::ask(at, "/echo", &from("https://evil.example")).await, "403"),
        (
            Wire::ask(at, "/room/a", &from("https://app.example")).await,
            "403",
        ),
        (ask("/room/private", version).await, "403"),
        (ask("/nothing", version).await, "404"),
        (ask("/echo", "sec-websocket-version: 8\r\n").await, "426"),
        (
            Wire::raw(at, "GET /echo HTTP/1.1\r\nhost: a\r\n\r\n").await,
            "426",
        ),
    ] {
        let Err(answer) = answer else {
            panic!("a WebSocket, not {status}")
        };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer}"
        );
    }
    assert_eq!(
        ask("/room/blue", version)
            .await
            .expect("a WebSocket")
            .heard()
            .await,
        "blue"
    );
}

async fn ends_as_it_should(laboratory: &Laboratory, gate: &Gate) {
    let at = laboratory.address;
    // All that was said before comes first, and in order.
    let mut wire = Wire::open(at, "/short").await;
    for n in 0..200 {
        assert_eq!(wire.heard().await, n.to_string());
    }
    assert_eq!(wire.end().await, Some(1000));
    assert_eq!(Wire::open(at, "/fails").await.end().await, Some(1011));
    assert_eq!(Wire::open(at, "/panics").await.end().await, Some(1011));

    // A client that goes without a word.
    let wire = Wire::open(at, "/watched").await;
    gate.arrived(1).await;
    drop(wire);
    gate.left(1).await;
    gate.arrived(1).await;
    // One that says goodbye, and is answered.
    let mut wire = Wire::open(at, "/watched").await;
    gate.arrived(1).await;
    wire.send(0x88, b"\x0f\xa0bye").await;
    assert_eq!(wire.end().await, Some(4000));
    assert_eq!(wire.next().await, None);
    gate.left(1).await;
    gate.arrived(1).await;
}

/// What the client sends at once with its request is not lost.
async fn hears_what_comes_early(laboratory: &Laboratory) {
    let mut wire = Wire::open(laboratory.address, "/echo").await;
    for n in 0..50 {
        wire.say(&n.to_string()).await;
    }
    for n in 0..50 {
        assert_eq!(wire.heard().await, n.to_string());
    }
}

async fn stops_as_it_should(laboratory: Laboratory, gate: &Gate) {
    let mut wire = Wire::open(laboratory.address, "/watched").await;
    gate.arrived(1).await;
    let stopping = tokio::spawn(laboratory.stop());
    assert_eq!(
        wire.next().await,
        Some(Frame {
            first: 0x88,
            payload: 1001_u16.to_be_bytes().into()
        })
    );
    wire.send(0x88, &1001_u16.to_be_bytes()).await;
    gate.left(1).await;
    within(stopping).await.expect("no panic");
}

async fn behaves(laboratory: Laboratory, gate: &Gate) {
    opens_as_it_should(&laboratory).await;
    hears_what_comes_early(&laboratory).await;
    ends_as_it_should(&laboratory, gate).await;
    stops_as_it_should(laboratory, gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_open_close_and_drain_behind_mongrel2() {
    let gate = Gate::new();
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, gate.clone()), plain).await else {
        return;
    };
    behaves(laboratory, &gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_open_close_and_drain_on_the_embedded_server() {
    let gate = Gate::new();
    behaves(Laboratory::embedded(App::new(ROUTES, gate.clone())).await, &gate).await;
}
