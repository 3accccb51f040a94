//! Clients come, ask three times and go, at full speed, while the handlers run on four worker threads: the traffic that
//! stops the bare sockets within seconds. `BRUBECK_CHURN_SECONDS` sets the length (default 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::common::{echo, frames, serve, soon};
use zeromq::prelude::*;

const VISITORS: usize = 6;

fn seconds() -> Duration {
    let seconds = std::env::var("BRUBECK_CHURN_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Visits until the time is over; returns connections and unanswered questions.
async fn visit(address: String, until: Instant, asked: Arc<AtomicU64>) -> (u64, u64) {
    let (mut connections, mut unanswered) = (0, 0);
    while Instant::now() < until {
        let mut socket = zeromq::DealerSocket::new();
        soon("a connection", socket.connect(&address)).await.unwrap();
        connections += 1;
        for question in 0..3 {
            let question = format!("{connections}.{question}");
            socket
                .send(zeromq::ZmqMessage::from(question.as_str()))
                .await
                .unwrap();
            asked.fetch_add(1, Relaxed);
            match tokio::time::timeout(Duration::from_secs(10), socket.recv()).await {
                Ok(Ok(answer)) => assert_eq!(answer.into_vec(), frames(&[&question])),
                _ => unanswered += 1,
            }
        }
    }
    (connections, unanswered)
}

async fn churn(at: &str) {
    let server = serve(at).await;
    let address = server.local.to_string();
    let outbound = server.outbound.clone();
    let (shutdown, served) = echo(server);
    let asked = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + seconds();
    let visitors: Vec<_> = (0..VISITORS)
        .map(|_| {
            let (address, asked) = (address.clone(), asked.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(visit(address, until, asked))
            })
        })
        .collect();
    let (mut connections, mut unanswered) = (0, 0);
    for visitor in visitors {
        let (came, lost) = tokio::task::spawn_blocking(|| visitor.join())
            .await
            .unwrap()
            .unwrap();
        connections += came;
        unanswered += lost;
    }
    let asked = asked.load(Relaxed);
    println!(
        "{at}: {connections} connections, {asked} questions, {unanswered} unanswered, {:?}",
        outbound.counts()
    );
    assert!(connections > 0);
    assert_eq!(unanswered, 0);
    drop(outbound);
    shutdown.shutdown(Duration::from_secs(5)).await;
    assert_eq!(soon("the end", served).await.unwrap(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tcp_clients_come_and_go() {
    churn("tcp://127.0.0.1:0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ipc_clients_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    churn(&format!("ipc://{}/s", folder.path().display())).await;
}
