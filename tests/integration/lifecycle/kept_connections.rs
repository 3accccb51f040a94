//! Connections that clients keep open are told that the server stops before they are closed.

use crate::support::with_timeout;
use brubeck::Running;
use brubeck::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 16;

#[get("/")]
async fn index() -> &'static str {
    "the body"
}

async fn start(drain: Duration) -> (Running, String) {
    let app = App::new(routes![index], ()).drain(drain);
    let running = app.start(Http::bind("127.0.0.1:0")).await.unwrap();
    let address = running.address().trim_start_matches("http://").to_owned();
    (running, address)
}

/// Sends a request and returns its response, in lower case.
async fn exchange(stream: &mut TcpStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"the body") {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "the connection ended without a response");
        response.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(response).unwrap().to_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_on_a_kept_connection_ends_without_a_response() {
    for round in 0..20 {
        let (running, address) = start(Duration::from_secs(30)).await;
        let responses = Arc::new(AtomicUsize::new(0));
        let warm = Arc::new(Notify::new());
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (address, responses, warm) = (address.clone(), responses.clone(), warm.clone());
            clients.spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                while !exchange(&mut stream).await.contains("connection: close") {
                    if responses.fetch_add(1, Ordering::Relaxed) == 20 * CONNECTIONS {
                        warm.notify_one();
                    }
                }
                assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            });
        }
        with_timeout(warm.notified()).await;
        with_timeout(running.stop()).await.unwrap();
        let ended = with_timeout(clients.join_all()).await;
        assert_eq!(ended.len(), CONNECTIONS, "round {round}");
    }
}

#[tokio::test]
async fn idle_connection_is_closed_within_the_drain_limit() {
    let (running, address) = start(Duration::from_secs(1)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert!(!exchange(&mut stream).await.contains("connection: close"));
    with_timeout(running.stop()).await.unwrap();
    assert_eq!(with_timeout(stream.read(&mut [0; 1])).await.unwrap(), 0);
}
