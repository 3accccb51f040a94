//! What the gate before a service costs: the same sockets with it and without it. The figures of a program that was
//! built for release are the ones that count: `cargo test --release --test services_gate -- --nocapture`.

use brubeck::prelude::*;
use brubeck::transport::{self, ClientEvent, Endpoint, Limits, ServerEvent, Timing, Transport, ZeroMq};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// How long each measurement takes at most.
const PART: Duration = Duration::from_millis(400);

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("an end")
}

/// A server that answers everything with itself, and a client of it.
async fn linked(endpoint: Endpoint, gate: bool) -> transport::Client {
    let limits = Limits {
        gate_ipc: gate,
        ..Limits::default()
    };
    let mut server = ZeroMq.server(endpoint, limits).await.unwrap();
    let mut client = ZeroMq.client(server.local.clone(), Timing::default()).unwrap();
    tokio::spawn(async move {
        while let Some(event) = server.inbound.recv().await {
            if let ServerEvent::Message { peer, frames } = event
                && server.outbound.send(peer, frames).await.is_err()
            {
                return;
            }
        }
    });
    let up = soon(client.inbound.recv()).await;
    assert!(matches!(up, Some(ClientEvent::Up { .. })), "{up:?}");
    client
}

/// Keeps so many messages under way; gives the p50 of their round trips, and how many there were in a second.
async fn measure(client: &mut transport::Client, outstanding: usize, size: usize) -> (Duration, f64) {
    let message = Bytes::from(vec![7; size]);
    let mut sent = std::collections::VecDeque::new();
    let (mut took, mut all) = (Vec::new(), 0_u32);
    let began = Instant::now();
    while began.elapsed() < PART {
        while sent.len() < outstanding {
            client.outbound.try_send(vec![message.clone()]).unwrap();
            sent.push_back(Instant::now());
        }
        let answer = soon(client.inbound.recv()).await;
        assert!(matches!(answer, Some(ClientEvent::Message { .. })), "{answer:?}");
        // One connection keeps the order.
        took.push(sent.pop_front().unwrap().elapsed());
        all += 1;
    }
    let rate = f64::from(all) / began.elapsed().as_secs_f64();
    while sent.pop_front().is_some() {
        soon(client.inbound.recv()).await;
    }
    took.sort();
    (took[took.len() / 2], rate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_costs_little() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| Endpoint::Ipc(folder.path().join(name));
    let (mut bare, mut gated) = (linked(at("bare"), false).await, linked(at("gated"), true).await);
    for (outstanding, size) in [(1, 100), (32, 100), (256, 100), (256, 1024)] {
        // In turns, so that a slow moment of the machine meets both.
        let mut best = [(Duration::MAX, 0.0_f64); 2];
        for _ in 0..2 {
            for (client, best) in [&mut bare, &mut gated].into_iter().zip(&mut best) {
                let (p50, rate) = measure(client, outstanding, size).await;
                *best = (best.0.min(p50), best.1.max(rate));
            }
        }
        let [(p50, rate), (gated_p50, gated_rate)] = best;
        println!(
            "{outstanding:>3} outstanding, {size:>4} B: p50 {p50:?} -> {gated_p50:?}, {rate:.0}/s -> {gated_rate:.0}/s \
             ({:+.0} %)",
            (gated_rate / rate - 1.0) * 100.0
        );
        assert!(gated_rate > 0.0);
    }
}

#[service_handler(path = "^/echo$", method = "request")]
async fn echo(text: Arg<String>) -> Json<String> {
    Json(text.0)
}

/// Keeps so many calls under way; gives their p50, and how many there were in a second.
async fn measure_calls(client: &Client, outstanding: usize) -> (Duration, f64) {
    let began = Instant::now();
    let callers: Vec<_> = (0..outstanding)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                while began.elapsed() < PART {
                    let asked = Instant::now();
                    let answer = client.request("/echo").argument("text", "hello").await.unwrap();
                    assert_eq!(answer.body, "hello");
                    took.push(asked.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for caller in callers {
        took.extend(soon(caller).await.unwrap());
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort();
    (took[took.len() / 2], rate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_pass_the_gate() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("ipc://{}/{name}", folder.path().display());
    let (mut clients, mut running) = (Vec::new(), Vec::new());
    for (address, gated) in [(at("bare"), false), (at("gated"), true)] {
        let service = Service::bind(&address, "secret");
        let service = if gated { service.gated() } else { service };
        running.push(soon(App::new(routes![echo], ()).start(service)).await.unwrap());
        clients.push(Client::connect(&address, "secret").unwrap());
    }
    for outstanding in [1, 256] {
        let mut best = [(Duration::MAX, 0.0_f64); 2];
        for _ in 0..2 {
            for (client, best) in clients.iter().zip(&mut best) {
                let (p50, rate) = measure_calls(client, outstanding).await;
                *best = (best.0.min(p50), best.1.max(rate));
            }
        }
        let [(p50, rate), (gated_p50, gated_rate)] = best;
        println!(
            "calls, {outstanding:>3} in flight: p50 {p50:?} -> {gated_p50:?}, {rate:.0}/s -> {gated_rate:.0}/s ({:+.0} %)",
            (gated_rate / rate - 1.0) * 100.0
        );
        assert!(gated_rate > 0.0);
    }
    for running in running {
        soon(running.stop()).await.unwrap();
    }
}
