//! A worker in Python, written from `docs/protocol.md` alone, serves the calls of our client.

use crate::support::peers::{self, Peer};
use crate::support::{Gate, Site, parts, within};
use brubeck::prelude::*;
use brubeck::{Phase, ServiceAddress};
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECRET: &str = "my_shared_secret";

/// A worker, and where it is.
async fn worker(python: &Path) -> (Peer, String) {
    let mut worker = Peer::start(python, "v2_worker.py", &["tcp://127.0.0.1:*", SECRET]);
    let line = worker.line().await.expect("a worker that starts");
    let address = line.strip_prefix("ready ").expect(&line).to_owned();
    (worker, address)
}

async fn echoes(client: &Client, value: Value) {
    let call = client
        .request("/service/echo")
        .header("x-trace", "7")
        .argument("text", &value)
        .timeout(Duration::from_secs(20));
    let answer = within(call.into_future()).await.expect("an answer");
    assert_eq!((answer.status.code(), answer.status.text()), (200, "as you said"));
    assert_eq!(answer.body["text"], value);
}

#[test]
fn protocol_page_example_verifies_with_python_hmac() {
    let Some(python) = parts::pyzmq() else {
        return;
    };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let check = Command::new(python)
        .arg("-B")
        .arg(peers::file("v2_example.py"))
        .arg(page)
        .output()
        .expect("a python that starts");
    let said = String::from_utf8_lossy(&check.stdout);
    assert_eq!(said.trim(), "the example is right", "{check:?}");
}

#[tokio::test]
async fn python_worker_serves_calls() {
    let Some(python) = parts::pyzmq() else {
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
        echoes(&client, value).await;
    }
    echoes(&client, json!("x".repeat(1_000_000))).await;

    let call = client.request("/service/elsewhere");
    let answer = within(call.into_future()).await.unwrap();
    assert_eq!(
        (answer.status.code(), answer.status.text()),
        (404, "no such service")
    );
    worker.stop().await;
}

/// More than it takes at once: the rest waits for credit.
#[tokio::test]
async fn calls_over_the_credit_wait_for_more() {
    let Some(python) = parts::pyzmq() else {
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
        assert_eq!(within(call).await.unwrap().unwrap().body["n"], n);
    }
    worker.stop().await;
}

#[tokio::test]
async fn deadline_and_cancel_reach_the_python_worker() {
    let Some(python) = parts::pyzmq() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let sleep = || client.request("/service/sleep");

    let call = sleep().timeout(Duration::from_millis(300));
    let error = within(call.into_future()).await.unwrap_err();
    let running = Phase::Running;
    assert_eq!(error, CallError::Deadline { phase: running });
    worker.says("request /service/sleep").await;
    // Its own clock, or our cancel, whichever was first.
    let ended = worker.line().await.unwrap();
    assert!(["ended 7", "ended 8"].contains(&ended.as_str()), "{ended}");

    let call = tokio::spawn(sleep().into_future());
    worker.says("request /service/sleep").await;
    call.abort();
    worker.says("ended 8").await;
    echoes(&client, json!("still there")).await;
    worker.stop().await;
}

#[tokio::test]
async fn wrong_passphrase_fails_the_handshake_and_the_call() {
    let Some(python) = parts::pyzmq() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, "another")).unwrap();
    let error = within(client.request("/service/echo").into_future())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CallError::Refused(why) if why.contains("passphrase")),
        "{error:?}"
    );
    worker.says("denied").await;
    echoes(
        &Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap(),
        json!("hello"),
    )
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn draining_worker_finishes_its_calls_and_takes_no_more() {
    let Some(python) = parts::pyzmq() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let last = client
        .request("/service/sleep")
        .timeout(Duration::from_millis(1500));
    let last = tokio::spawn(last.into_future());
    worker.says("request /service/sleep").await;
    worker.tell("drain").await;
    // It ends when its last call has, in whichever way that does.
    let error = within(last).await.unwrap().unwrap_err();
    let running = Phase::Running;
    assert_eq!(error, CallError::Deadline { phase: running });
    worker.says("drained").await;
    worker.ended().await;
    let error = within(client.request("/service/echo").into_future())
        .await
        .unwrap_err();
    assert_eq!(error, CallError::NoWorkers);
}

#[derive(Clone, AppState)]
struct Pages {
    service: ServiceAddress,
    answers: Gate,
}

#[get("^/nowait$")]
async fn ask(services: Services, service: State<ServiceAddress>) -> Result<&'static str, CallError> {
    for n in 0..10 {
        let call = services
            .connect(&service)?
            .request("/service/echo")
            .argument("n", n);
        call.nowait().await?;
    }
    Ok("all are taken")
}

#[response_handler("^/service/echo")]
async fn on_echo(reply: ServiceResponse, answers: State<Gate>) {
    assert_eq!(reply.status.code(), 200);
    answers.knock();
}

const PAGES: Routes<Pages> = routes![on_echo, ask];

#[tokio::test]
async fn nowait_calls_are_acknowledged_by_the_worker() {
    let Some(python) = parts::pyzmq() else {
        return;
    };
    let (worker, address) = worker(&python).await;
    let answers = Gate::new();
    let pages = Pages {
        service: ServiceAddress::new(address, SECRET),
        answers: answers.clone(),
    };
    let site = Site::http(App::new(PAGES, pages)).await;
    assert_eq!(site.browser().await.get("/nowait").await.text(), "all are taken");
    answers.arrived(10).await;
    site.stop().await;
    worker.stop().await;
}
