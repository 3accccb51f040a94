//! Calls of a Python worker that was written from `docs/protocol.md` alone.

use crate::support::python::{self as python_peer, PythonPeer};
use crate::support::{Gate, ServedApp, requirements, with_timeout};
use brubeck::prelude::*;
use brubeck::{Phase, ServiceAddress};
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECRET: &str = "my_shared_secret";

/// Starts a worker and returns it with its address.
async fn worker(python: &Path) -> (PythonPeer, String) {
    let mut worker = PythonPeer::start(python, "v2_worker.py", &["tcp://127.0.0.1:*", SECRET]);
    let line = worker.read_line().await.expect("a running worker");
    let address = line.strip_prefix("ready ").expect(&line).to_owned();
    (worker, address)
}

async fn assert_echo(client: &Client, value: Value) {
    let call = client
        .request("/service/echo")
        .header("x-trace", "7")
        .argument("text", &value)
        .timeout(Duration::from_secs(20));
    let response = with_timeout(call.into_future()).await.expect("a response");
    assert_eq!((response.status.code(), response.status.text()), (200, "echoed"));
    assert_eq!(response.body["text"], value);
}

#[test]
fn protocol_page_example_verifies_with_python_hmac() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let check = Command::new(python)
        .arg("-B")
        .arg(python_peer::file("v2_example.py"))
        .arg(page)
        .output()
        .expect("a running python");
    let output = String::from_utf8_lossy(&check.stdout);
    assert_eq!(output.trim(), "the example is right", "{check:?}");
}

#[tokio::test]
async fn python_worker_serves_calls() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let (worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    for value in [
        json!("hello"),
        json!(null),
        json!({"é": [1, "日本語", -0.5]}),
        json!("🦊\0"),
    ] {
        assert_echo(&client, value).await;
    }
    assert_echo(&client, json!("x".repeat(1_000_000))).await;

    let call = client.request("/service/elsewhere");
    let response = with_timeout(call.into_future()).await.unwrap();
    assert_eq!(
        (response.status.code(), response.status.text()),
        (404, "no such service")
    );
    worker.stop().await;
}

/// Sends more calls than the worker gives credit for.
#[tokio::test]
async fn calls_over_the_credit_wait_for_more() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let (worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let calls: Vec<_> = (0..256)
        .map(|n| {
            let call = client.request("/service/echo").argument("n", n);
            tokio::spawn(call.timeout(Duration::from_secs(20)).into_future())
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(with_timeout(call).await.unwrap().unwrap().body["n"], n);
    }
    worker.stop().await;
}

#[tokio::test]
async fn deadline_and_cancel_reach_the_python_worker() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let sleep = || client.request("/service/sleep");

    let call = sleep().timeout(Duration::from_millis(300));
    let error = with_timeout(call.into_future()).await.unwrap_err();
    let running = Phase::Running;
    assert_eq!(error, CallError::Deadline { phase: running });
    worker.wait_for_line("request /service/sleep").await;
    // The code of the error: 7 if the worker's own deadline ended the call, 8 if our cancel did. Either may come first.
    let ended = worker.read_line().await.unwrap();
    assert!(["ended 7", "ended 8"].contains(&ended.as_str()), "{ended}");

    let call = tokio::spawn(sleep().into_future());
    worker.wait_for_line("request /service/sleep").await;
    call.abort();
    worker.wait_for_line("ended 8").await;
    assert_echo(&client, json!("still there")).await;
    worker.stop().await;
}

#[tokio::test]
async fn wrong_passphrase_fails_the_handshake_and_the_call() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, "another")).unwrap();
    let error = with_timeout(client.request("/service/echo").into_future())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CallError::Refused(why) if why.contains("passphrase")),
        "{error:?}"
    );
    worker.wait_for_line("denied").await;
    assert_echo(
        &Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap(),
        json!("hello"),
    )
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn draining_worker_finishes_its_calls_and_takes_no_more() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let last = client
        .request("/service/sleep")
        .timeout(Duration::from_millis(1500));
    let last = tokio::spawn(last.into_future());
    worker.wait_for_line("request /service/sleep").await;
    worker.send_line("drain").await;
    // The worker exits when its last call has ended, here at its deadline.
    let error = with_timeout(last).await.unwrap().unwrap_err();
    let running = Phase::Running;
    assert_eq!(error, CallError::Deadline { phase: running });
    worker.wait_for_line("drained").await;
    worker.wait_for_exit().await;
    let error = with_timeout(client.request("/service/echo").into_future())
        .await
        .unwrap_err();
    assert_eq!(error, CallError::NoWorkers);
}

#[derive(Clone, AppState)]
struct WebState {
    service: ServiceAddress,
    responses: Gate,
}

#[get("^/nowait$")]
async fn call_nowait(services: Services, service: State<ServiceAddress>) -> Result<&'static str, CallError> {
    for n in 0..10 {
        let call = services
            .connect(&service)?
            .request("/service/echo")
            .argument("n", n);
        call.nowait().await?;
    }
    Ok("all accepted")
}

#[response_handler("^/service/echo")]
async fn on_echo(reply: ServiceResponse, responses: State<Gate>) {
    assert_eq!(reply.status.code(), 200);
    responses.signal_arrival();
}

const WEB_ROUTES: Routes<WebState> = routes![on_echo, call_nowait];

#[tokio::test]
async fn nowait_calls_are_acknowledged_by_the_worker() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let (worker, address) = worker(&python).await;
    let responses = Gate::new();
    let pages = WebState {
        service: ServiceAddress::new(address, SECRET),
        responses: responses.clone(),
    };
    let site = ServedApp::http(App::new(WEB_ROUTES, pages)).await;
    assert_eq!(site.browser().await.get("/nowait").await.text(), "all accepted");
    responses.wait_for_arrivals(10).await;
    site.stop().await;
    worker.stop().await;
}
