//! The default body limit, and body and concurrency limits that a service and its caller raise.

use crate::support::{Gate, with_timeout};
use brubeck::prelude::*;
use brubeck::{Running, Service, ServiceAddress};
use std::future::IntoFuture;
use std::time::Duration;

#[derive(Clone, AppState)]
struct ServiceState {
    gate: Gate,
}

const SECRET: &str = "my_shared_secret";
const MEBIBYTE: usize = 1 << 20;

#[service_handler(path = "^/length$", method = "request")]
async fn length(body: Json<String>) -> Json<usize> {
    Json(body.0.len())
}

#[service_handler(path = "^/again$", method = "request")]
async fn again(body: Json<String>) -> Json<String> {
    body
}

#[service_handler(path = "^/held$", method = "request")]
async fn held(gate: State<Gate>) -> Json<bool> {
    gate.pass().await;
    Json(true)
}

async fn send(call: Call) -> Result<ServiceResponse<serde_json::Value>, CallError> {
    with_timeout(call.into_future()).await
}

async fn serve(service: Service, gate: &Gate) -> Running {
    let app = App::new(routes![length, again, held], ServiceState { gate: gate.clone() });
    with_timeout(app.start(service)).await.unwrap()
}

/// Returns a text whose JSON encoding has `bytes` bytes.
fn text(bytes: usize) -> String {
    "x".repeat(bytes - 2)
}

// While one thread parses a large body, heartbeats need another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn default_body_limit_is_8_mib_and_can_be_raised_on_both_sides() {
    let gate = Gate::new();
    let default_limits = serve(Service::bind("tcp://127.0.0.1:0", SECRET), &gate).await;
    let client = Client::connect(&ServiceAddress::new(default_limits.address(), SECRET)).unwrap();
    let response = send(client.request("/length").body(text(8 * MEBIBYTE)))
        .await
        .unwrap();
    assert_eq!(response.body, 8 * MEBIBYTE - 2);
    let refused = send(client.request("/length").body(text(8 * MEBIBYTE + 1))).await;
    let named = |reason: &str| {
        reason.contains(default_limits.address())
            && reason.contains("8388608")
            && reason.contains("::body_limit")
    };
    assert!(
        matches!(&refused, Err(error @ CallError::TooLarge(_)) if named(&error.to_string())),
        "{refused:?}"
    );

    let raised_limits = serve(
        Service::bind("tcp://127.0.0.1:0", SECRET).body_limit(16 * MEBIBYTE),
        &gate,
    )
    .await;
    let address = ServiceAddress::new(raised_limits.address(), SECRET).body_limit(16 * MEBIBYTE);
    let client = Client::connect(&address).unwrap();
    send(client.request("/length").body("")).await.unwrap();
    let sent = text(16 * MEBIBYTE);
    let response = send(
        client
            .request("/again")
            .body(&sent)
            .timeout(Duration::from_secs(60)),
    )
    .await
    .unwrap();
    assert!(response.body == sent.as_str());
    for running in [default_limits, raised_limits] {
        with_timeout(running.stop()).await.unwrap();
    }
}

#[tokio::test]
async fn concurrency_limit_can_be_raised_on_both_sides() {
    const CALLS: usize = 3000;
    let gate = Gate::new();
    let running = serve(
        Service::bind("tcp://127.0.0.1:0", SECRET).concurrency(CALLS),
        &gate,
    )
    .await;
    let address = ServiceAddress::new(running.address(), SECRET).concurrency(CALLS);
    let client = Client::connect(&address).unwrap();
    send(client.request("/length").body("")).await.unwrap();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| tokio::spawn(client.request("/held").into_future()))
        .collect();
    with_timeout(gate.wait_for_arrivals(CALLS as u32)).await;
    gate.open(CALLS);
    for call in calls {
        assert_eq!(with_timeout(call).await.unwrap().unwrap().body, true);
    }
    with_timeout(running.stop()).await.unwrap();
}
