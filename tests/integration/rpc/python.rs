//! Calls of a Python worker that was written from `docs/protocol.md` alone.

use crate::support::logs::CapturedLogs;
use crate::support::python::{self as python_peer, PythonPeer};
use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Gate, ServedApp, requirements, with_timeout};
use brubeck::prelude::*;
use brubeck::{PeerKey, Phase, ServiceAddress};
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::NamedTempFile;

const SECRET: &str = "my_shared_secret";

/// Writes the key of [`SECRET`] to a file, as `brubeck keygen` does.
fn key_file() -> NamedTempFile {
    let key = PeerKey::from_secret(SECRET).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    write!(file, "{}{}", key.private_key_pem(), key.certificate_pem()).unwrap();
    file
}

/// Starts a worker and returns it with its address.
async fn worker(python: &Path) -> (PythonPeer, String) {
    let file = key_file();
    let key = file.path().to_str().unwrap();
    let mut worker = PythonPeer::start(python, "v3_worker.py", &["tcp://127.0.0.1:0", key]);
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
fn protocol_page_example_decodes_in_python() {
    let Some(python) = requirements::python() else {
        return;
    };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let check = Command::new(python)
        .arg("-B")
        .arg(python_peer::file("v3_example.py"))
        .arg(page)
        .output()
        .expect("a running python");
    let output = String::from_utf8_lossy(&check.stdout);
    assert_eq!(output.trim(), "the example is right", "{check:?}");
}

#[tokio::test]
async fn python_worker_serves_calls() {
    let Some(python) = requirements::python() else {
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

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Refusal {
    why: String,
}

#[service_client]
trait Thumbs {
    #[call("/thumbs/resize")]
    async fn resize(&self, image: Bytes, width: u32) -> Result<Bytes, Refusal>;
    #[call("/thumbs/crop/{x}")]
    async fn crop(&self, x: i64, image: Bytes) -> Result<(i64, Bytes), Refusal>;
}

/// Image bytes that are no UTF-8.
fn image(length: usize) -> Bytes {
    (0..length)
        .map(|n| 255 - u8::try_from(n % 250).unwrap())
        .collect::<Vec<u8>>()
        .into()
}

#[tokio::test]
async fn bytes_and_outcomes_cross_to_and_from_the_python_worker() {
    let Some(python) = requirements::python() else {
        return;
    };
    let logs = CapturedLogs::start(tracing::Level::WARN);
    let (worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let thumbs = ThumbsClient::new(client.clone());
    let small = with_timeout(thumbs.resize(image(1_000_000), 200).into_future())
        .await
        .unwrap();
    assert_eq!(small, image(1_000_000).slice(..200));
    match with_timeout(thumbs.resize(Bytes::new(), 200).into_future()).await {
        Err(CallError::Failure { status, error, .. }) => {
            assert_eq!((status.code(), error.why.as_str()), (422, "no image"));
        }
        other => panic!("{other:?}"),
    }
    // The worker knows the contract in another version. Its list arrives with the responses of the next calls.
    let difference = format!("argument `width`: `u32` here, `u64` at {address}");
    while logs.count(&difference) == 0 {
        assert_echo(&client, json!("hello")).await;
    }
    let error = with_timeout(thumbs.crop(7, image(3)).into_future())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CallError::Refused(why) if why.contains("no operation thumbs::crop"))
            && error.to_string().contains(&address),
        "{error:?}"
    );
    // Without a contract, a panic is a response with a status.
    let response = with_timeout(client.request("/service/panic").into_future())
        .await
        .unwrap();
    assert_eq!(response.status.code(), 500);
    worker.stop().await;
}

struct Cropping;

impl Thumbs for Cropping {
    async fn resize(&self, image: Bytes, width: u32) -> Result<Bytes, Refusal> {
        if image.is_empty() {
            let why = "no image".to_owned();
            return Err(Refusal { why });
        }
        Ok(image.slice(..image.len().min(width as usize)))
    }

    async fn crop(&self, x: i64, image: Bytes) -> Result<(i64, Bytes), Refusal> {
        assert!(x >= 0, "x is negative");
        Ok((x, image))
    }
}

const THUMBS: Routes<Cropping> = routes![..thumbs::routes::<Cropping>()];
serves!(THUMBS => thumbs);

/// The beginning of a refused call: a problem whose detail is the reason.
const BAD_REQUEST: &str = r#"3 400 0 {"type":"about:blank","title":"Bad Request","status":400,"detail":.."#;

#[tokio::test]
async fn python_caller_calls_operations() {
    let Some(python) = requirements::python() else {
        return;
    };
    let folder = socket_folder();
    let start = async |address: &str| {
        let service = brubeck::Service::bind(address, SECRET);
        App::new(THUMBS, Cropping).start(service).await.unwrap()
    };
    let (running, over_ipc) = (
        start("tcp://127.0.0.1:0").await,
        start(&socket_address(&folder, "a")).await,
    );
    let addresses = [running.address(), over_ipc.address()];
    let file = key_file();
    let cases = [
        (
            "thumbs::resize",
            r#"{"image":{"$bytes":0},"width":2}"#,
            &["fffefd"][..],
            r#"1 200 1 {"$bytes":0} fffe"#,
        ),
        (
            "thumbs::resize",
            r#"{"image":[1,2,3],"width":2}"#,
            &[],
            r#"1 200 1 {"$bytes":0} 0102"#,
        ),
        (
            "thumbs::resize",
            r#"{"image":{"$bytes":0},"width":2}"#,
            &[""],
            r#"2 400 1 {"why":"no image"}"#,
        ),
        (
            "thumbs::crop",
            r#"{"x":"7","image":{"$bytes":0}}"#,
            &["ff"],
            r#"1 200 1 [7,{"$bytes":0}] ff"#,
        ),
        (
            "thumbs::crop",
            r#"{"x":"-7","image":{"$bytes":0}}"#,
            &["ff"],
            "4 500 1 {}",
        ),
        (
            "thumbs::crop",
            r#"{"x":"seven","image":{"$bytes":0}}"#,
            &["ff"],
            BAD_REQUEST,
        ),
        ("thumbs::crop", r#"{"x":"7"}"#, &[], BAD_REQUEST),
        (
            "thumbs::crop",
            r#"{"x":"7","image":{"$bytes":1}}"#,
            &["ff"],
            BAD_REQUEST,
        ),
        ("thumbs::rotate", "{}", &[], "3 404 0 {}"),
        (
            "brubeck::operations",
            "{}",
            &[],
            r#"1 200 1 {"operations":[{"name":"thumbs::resize","digest":".."#,
        ),
        ("brubeck::nothing", "{}", &[], "3 404 0 {}"),
    ];
    let cases = cases.into_iter().enumerate();
    for (index, (operation, body, parts, expected)) in cases {
        let mut arguments = vec![
            addresses[index % 2],
            file.path().to_str().unwrap(),
            operation,
            body,
        ];
        arguments.extend(parts);
        let mut caller = PythonPeer::start(&python, "v3_caller.py", &arguments);
        let line = caller.read_line().await.unwrap_or_default();
        match expected.strip_suffix("..") {
            Some(start) => assert!(line.starts_with(start), "{operation} {body}: {line}"),
            None => assert_eq!(line, expected, "{operation} {body}"),
        }
        caller.wait_for_exit().await;
    }
    over_ipc.stop().await.unwrap();
    running.stop().await.unwrap();
}

/// Sends more calls than the worker gives credit for.
#[tokio::test]
async fn calls_over_the_credit_wait_for_more() {
    let Some(python) = requirements::python() else {
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
    let Some(python) = requirements::python() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let sleep = || client.request("/service/sleep");

    let call = sleep().timeout(Duration::from_millis(300));
    let error = with_timeout(call.into_future()).await.unwrap_err();
    let running = Phase::Running;
    assert_eq!(error, CallError::deadline(running));
    worker.wait_for_line("request /service/sleep").await;
    // The outcome: 6 if the worker's own deadline ended the call, 5 if our cancel did. Either may come first.
    let ended = worker.read_line().await.unwrap();
    assert!(["ended 6", "ended 5"].contains(&ended.as_str()), "{ended}");

    let call = tokio::spawn(sleep().into_future());
    worker.wait_for_line("request /service/sleep").await;
    call.abort();
    worker.wait_for_line("ended 5").await;
    assert_echo(&client, json!("still there")).await;
    worker.stop().await;
}

#[tokio::test]
async fn wrong_secret_fails_the_handshake_and_the_call() {
    let Some(python) = requirements::python() else {
        return;
    };
    let (mut worker, address) = worker(&python).await;
    let client = Client::connect(&ServiceAddress::new(&address, "another secret than the worker's")).unwrap();
    let error = with_timeout(client.request("/service/echo").into_future())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CallError::NoWorkers(why) if why.contains("a different secret")),
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
    let Some(python) = requirements::python() else {
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
    assert_eq!(error, CallError::deadline(running));
    worker.wait_for_line("drained").await;
    worker.wait_for_exit().await;
    let error = with_timeout(client.request("/service/echo").into_future())
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::NoWorkers(_)), "{error:?}");
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
    let Some(python) = requirements::python() else {
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
