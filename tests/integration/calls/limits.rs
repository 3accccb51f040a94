//! Limits that a service and its callers raise: what is refused as it comes goes through then.

use crate::support::{Gate, within};
use brubeck::prelude::*;
use brubeck::{Running, ServiceAddress};
use std::future::IntoFuture;
use std::time::Duration;

/// What the handlers share.
#[derive(Clone, AppState)]
struct Held {
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

/// A call is not a future, but becomes one.
async fn asked(call: Call) -> Result<ServiceResponse<serde_json::Value>, CallError> {
    within(call.into_future()).await
}

async fn serve(service: Service, gate: &Gate) -> Running {
    let app = App::new(routes![length, again, held], Held { gate: gate.clone() });
    within(app.start(service)).await.unwrap()
}

/// So much text that it is as many bytes of JSON.
fn text(bytes: usize) -> String {
    "x".repeat(bytes - 2)
}

// Heartbeats need a thread while another one is busy with the JSON of a large body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_limit_is_the_smaller_limit_of_client_and_service() {
    let gate = Gate::new();
    let usual = serve(Service::bind("tcp://127.0.0.1:0", SECRET), &gate).await;
    let client = Client::connect(&ServiceAddress::new(usual.address(), SECRET)).unwrap();
    let answer = asked(client.request("/length").body(text(8 * MEBIBYTE)))
        .await
        .unwrap();
    assert_eq!(answer.body, 8 * MEBIBYTE - 2);
    let refused = asked(client.request("/length").body(text(8 * MEBIBYTE + 1))).await;
    assert!(matches!(refused, Err(CallError::TooLarge)), "{refused:?}");

    let large = serve(
        Service::bind("tcp://127.0.0.1:0", SECRET).body_limit(16 * MEBIBYTE),
        &gate,
    )
    .await;
    let address = ServiceAddress::new(large.address(), SECRET).body_limit(16 * MEBIBYTE);
    let client = Client::connect(&address).unwrap();
    asked(client.request("/length").body("")).await.unwrap();
    let sent = text(16 * MEBIBYTE);
    let answer = asked(
        client
            .request("/again")
            .body(&sent)
            .timeout(Duration::from_secs(60)),
    )
    .await
    .unwrap();
    assert!(answer.body == sent.as_str());
    for running in [usual, large] {
        within(running.stop()).await.unwrap();
    }
}

#[tokio::test]
async fn concurrency_limit_can_be_raised_on_both_sides() {
    const MANY: usize = 3000;
    let gate = Gate::new();
    let running = serve(
        Service::bind("tcp://127.0.0.1:0", SECRET).concurrency(MANY),
        &gate,
    )
    .await;
    let address = ServiceAddress::new(running.address(), SECRET).concurrency(MANY);
    let client = Client::connect(&address).unwrap();
    asked(client.request("/length").body("")).await.unwrap();
    let calls: Vec<_> = (0..MANY)
        .map(|_| tokio::spawn(client.request("/held").into_future()))
        .collect();
    within(gate.arrived(MANY as u32)).await;
    gate.open(MANY);
    for call in calls {
        assert_eq!(within(call).await.unwrap().unwrap().body, true);
    }
    within(running.stop()).await.unwrap();
}
