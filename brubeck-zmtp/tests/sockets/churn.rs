//! Clients connect, send three requests and disconnect, at full speed, while the server runs on four worker threads.
//!
//! This traffic blocks the sockets of the `zeromq` crate within seconds. `BRUBECK_CHURN_SECONDS` sets the duration (default: 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::common::{echo, frames, serve, soon};
use zeromq::prelude::*;

const CLIENTS: usize = 6;

fn seconds() -> Duration {
    let seconds = std::env::var("BRUBECK_CHURN_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Connects and sends requests until the deadline. Returns the number of connections and of requests without a response.
async fn run_client(address: String, deadline: Instant, sent: Arc<AtomicU64>) -> (u64, u64) {
    let (mut connections, mut lost) = (0, 0);
    while Instant::now() < deadline {
        let mut socket = zeromq::DealerSocket::new();
        soon("a connection", socket.connect(&address)).await.unwrap();
        connections += 1;
        for request in 0..3 {
            let request = format!("{connections}.{request}");
            socket
                .send(zeromq::ZmqMessage::from(request.as_str()))
                .await
                .unwrap();
            sent.fetch_add(1, Relaxed);
            match tokio::time::timeout(Duration::from_secs(10), socket.recv()).await {
                Ok(Ok(answer)) => assert_eq!(answer.into_vec(), frames(&[&request])),
                _ => lost += 1,
            }
        }
    }
    (connections, lost)
}

async fn churn(at: &str) {
    let server = serve(at).await;
    let address = server.local.to_string();
    let outbound = server.outbound.clone();
    let (shutdown, served) = echo(server);
    let sent = Arc::new(AtomicU64::new(0));
    let deadline = Instant::now() + seconds();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (address, sent) = (address.clone(), sent.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(run_client(address, deadline, sent))
            })
        })
        .collect();
    let (mut connections, mut lost) = (0, 0);
    for client in clients {
        let (client_connections, client_lost) = tokio::task::spawn_blocking(|| client.join())
            .await
            .unwrap()
            .unwrap();
        connections += client_connections;
        lost += client_lost;
    }
    let sent = sent.load(Relaxed);
    println!(
        "{at}: {connections} connections, {sent} requests, {lost} without a response, {:?}",
        outbound.counts()
    );
    assert!(connections > 0);
    assert_eq!(lost, 0);
    drop(outbound);
    shutdown.shutdown(Duration::from_secs(5)).await;
    assert_eq!(soon("the end", served).await.unwrap(), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tcp_clients_connect_and_disconnect() {
    churn("tcp://127.0.0.1:0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ipc_clients_connect_and_disconnect() {
    let folder = tempfile::tempdir().unwrap();
    churn(&format!("ipc://{}/s", folder.path().display())).await;
}
