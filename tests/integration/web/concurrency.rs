//! The concurrency limit of a route counts what holds resources until it is free, for every kind of response.

use crate::support::test_bed::{TestBed, default_settings};
use crate::support::websocket::WebSocketClient;
use crate::support::{Browser, with_timeout};
use brubeck::Body;
use brubeck::prelude::*;
use futures_util::{StreamExt, stream};
use std::net::SocketAddr;

/// More than the sockets buffer on the way to a client that does not read.
const LARGE: usize = 32 << 20;

#[get("^/text$")]
async fn text() -> Vec<u8> {
    vec![b'x'; LARGE]
}

#[get("^/file$")]
async fn file(path: State<std::path::PathBuf>) -> File {
    File::new(&**path)
}

#[get("^/stream$")]
async fn streamed() -> Body {
    Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

#[get("^/broken$")]
async fn broken() -> Body {
    let chunks = stream::iter([Ok(vec![b'x'; 1000])]).chain(stream::once(async { panic!("on purpose") }));
    Body::from_stream(chunks.map(|chunk: Result<Vec<u8>, std::io::Error>| chunk))
}

#[get("^/events$")]
async fn events() -> Events {
    Events::new(stream::pending::<Event>())
}

#[post("^/body$")]
async fn body(body: bytes::Bytes) -> String {
    body.len().to_string()
}

#[websocket("^/socket$")]
async fn socket(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        assert_ne!(message.text(), Some("panic"), "on purpose");
        let _ = socket.send(message).await;
    }
}

#[get("^/upgrade$")]
async fn upgrade(upgrade: Upgrade) -> Response {
    upgrade.on(async |mut socket: WebSocket| while socket.recv().await.is_some() {})
}

const ROUTES: Routes<std::path::PathBuf> =
    routes![text, file, streamed, broken, events, body, socket, upgrade];

fn app(file_path: &std::path::Path) -> App<std::path::PathBuf> {
    let one = || Limits::new().concurrency(1);
    App::new(ROUTES, file_path.to_owned())
        .limit::<text>(one())
        .limit::<file>(one())
        .limit::<streamed>(one())
        .limit::<broken>(one())
        .limit::<events>(one())
        .limit::<body>(one())
        .limit::<socket>(one())
        .limit::<upgrade>(one())
}

/// Sends the head of a GET request, and reads only the status line of the response.
async fn open(address: SocketAddr, path: &str) -> (Browser, String) {
    let mut browser = Browser::connect(address).await;
    browser
        .send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .await;
    let line = with_timeout(browser.try_read_line())
        .await
        .expect("a status line");
    (browser, line)
}

/// Requests a path until it is not refused any more.
async fn wait_until_free(address: SocketAddr, path: &str) {
    with_timeout(async {
        loop {
            let mut browser = Browser::connect(address).await;
            browser
                .send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
                .await;
            // A response that breaks off may have no head.
            let line = browser.try_read_line().await;
            if line.is_err() || line.is_ok_and(|line| !line.contains(" 503 ")) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn check_replies(address: SocketAddr, paths: &[&str]) {
    for path in paths {
        let (first, line) = open(address, path).await;
        assert!(line.contains(" 200 "), "{path}: {line}");
        let mut browser = Browser::connect(address).await;
        let second = browser.get(path).await;
        assert_eq!(second.status, 503, "{path}");
        assert_eq!(second.header("retry-after"), Some("1"), "{path}");
        drop(first);
        wait_until_free(address, path).await;
    }
}

async fn check_websockets(address: SocketAddr) {
    let version = "sec-websocket-version: 13\r\n";
    for path in ["/socket", "/upgrade"] {
        let first = WebSocketClient::open(address, path).await;
        let refused = WebSocketClient::handshake(address, path, version).await;
        let head = refused.err().expect("a second WebSocket is refused");
        assert!(head.contains(" 503 "), "{path}: {head}");
        drop(first);
        with_timeout(async {
            while WebSocketClient::handshake(address, path, version).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    // A panic gives the place back, too.
    let mut panicking = with_timeout(async {
        loop {
            if let Ok(open) = WebSocketClient::handshake(address, "/socket", version).await {
                return open;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    panicking.send_text("panic").await;
    with_timeout(async {
        while WebSocketClient::handshake(address, "/socket", version)
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A body that is still sent holds its place.
async fn check_slow_body(address: SocketAddr) {
    let probe = async || {
        Browser::connect(address)
            .await
            .post("/body", b"abcd")
            .await
            .status
    };
    let mut slow = with_timeout(async {
        loop {
            let mut slow = Browser::connect(address).await;
            slow.send("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
                .await;
            // If the server gets the probe first, both are answered.
            if probe().await == 503 {
                return slow;
            }
        }
    })
    .await;
    slow.send("cd").await;
    assert_eq!(slow.read_response().await.text(), "4");
    with_timeout(async { while probe().await == 503 {} }).await;
}

fn large_file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large");
    std::fs::write(&path, vec![b'x'; LARGE]).expect("a file");
    (folder, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_held_on_the_embedded_server() {
    let (_folder, path) = large_file();
    let test_bed = TestBed::embedded(app(&path)).await;
    let address = test_bed.address;
    check_replies(address, &["/text", "/file", "/stream", "/events"]).await;
    for _ in 0..3 {
        wait_until_free(address, "/broken").await;
    }
    check_websockets(address).await;
    check_slow_body(address).await;
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_held_behind_mongrel2() {
    let (_folder, path) = large_file();
    let Some(test_bed) = TestBed::mongrel2(app(&path), default_settings).await else {
        return;
    };
    let address = test_bed.address;
    check_replies(address, &["/file", "/stream", "/events"]).await;
    for _ in 0..3 {
        wait_until_free(address, "/broken").await;
    }
    check_websockets(address).await;
    test_bed.stop().await;
}
