//! A process that takes over the address of one that drains, and a socket file that is removed while it is served.

use super::process::own_address;
use crate::support::logs::CapturedLogs;
use crate::support::{Gate, with_timeout};
use brubeck::prelude::*;
use brubeck::{Client, Running, Service, ServiceAddress};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const SECRET: &str = "TLSd2TQ0DdOZ2JsHyFBq";

#[derive(Clone)]
struct Process {
    name: &'static str,
    gate: Gate,
}

#[service_handler("^/name$")]
async fn name(process: State<Process>) -> Json<&'static str> {
    Json(process.name)
}

#[service_handler("^/wait$")]
async fn wait(process: State<Process>) -> Json<&'static str> {
    process.gate.pass().await;
    Json(process.name)
}

#[get("^/page/name$")]
async fn page(process: State<Process>) -> &'static str {
    process.name
}

#[get("^/page/wait$")]
async fn slow_page(process: State<Process>) -> &'static str {
    process.gate.pass().await;
    process.name
}

const ROUTES: Routes<Process> = routes![name, wait, page, slow_page];

fn app(name: &'static str, gate: &Gate) -> App<Process> {
    let gate = gate.clone();
    App::new(ROUTES, Process { name, gate })
}

/// Starts the successor as soon as the address is free, and returns how long that took.
async fn start_successor(start: impl AsyncFn() -> brubeck::Result<Running>) -> (Running, Duration) {
    let began = Instant::now();
    let started = async {
        loop {
            match start().await {
                Ok(running) => return running,
                Err(error) => assert!(format!("{error:?}").contains("this process"), "{error:?}"),
            }
            tokio::task::yield_now().await;
        }
    };
    (with_timeout(started).await, began.elapsed())
}

async fn answering(client: &Client) -> String {
    let answer = client.request("/name").timeout(Duration::from_secs(4)).await;
    answer.expect("a response").body.to_string()
}

async fn successor_of_a_service(address: &str) {
    let gate = Gate::new();
    let start = async |name| app(name, &gate).start(Service::bind(address, SECRET)).await;
    let first = start("first").await.unwrap();
    let client = Client::connect(&ServiceAddress::new(address, SECRET)).unwrap();
    assert_eq!(answering(&client).await, "\"first\"");
    let caller = client.clone();
    let pending = tokio::spawn(async move { caller.request("/wait").timeout(Duration::from_secs(20)).await });
    with_timeout(gate.wait_for_arrivals(1)).await;

    first.handle().drain();
    let (second, taken) = start_successor(async || start("second").await).await;
    assert!(
        taken < Duration::from_secs(1),
        "{address}: the successor started after {taken:?}"
    );
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(answering(&client).await, "\"second\"", "{address}");
    }
    let found = began.elapsed();
    assert!(
        found < Duration::from_secs(2),
        "{address}: the successor was found after {found:?}"
    );

    gate.open(1);
    let answer = with_timeout(pending)
        .await
        .unwrap()
        .expect("the first process finishes its call");
    assert_eq!(answer.body.to_string(), "\"first\"");
    first.stop().await.unwrap();
    assert_eq!(answering(&client).await, "\"second\"", "{address}");
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successor_of_a_draining_service_gets_the_calls() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("ipc://{}", folder.path().join("socket").display());
    with_timeout(successor_of_a_service(&path)).await;
    with_timeout(successor_of_a_service(&format!(
        "tcp://{}",
        own_address("127.0.14.4")
    )))
    .await;
}

/// Sends a request over a new connection and returns the body of the response.
async fn fetch(address: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let mut response = String::new();
    if address.starts_with('/') {
        let mut stream = UnixStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_string(&mut response).await.unwrap();
    } else {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_string(&mut response).await.unwrap();
    }
    response.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

async fn successor_of_a_server(address: &str) {
    let gate = Gate::new();
    let start = async |name| match address.starts_with('/') {
        true => app(name, &gate).start(Http::unix(address)).await,
        false => app(name, &gate).start(Http::bind(address)).await,
    };
    let first = start("first").await.unwrap();
    let target = address.to_owned();
    let pending = tokio::spawn(async move { fetch(&target, "/page/wait").await });
    with_timeout(gate.wait_for_arrivals(1)).await;

    first.handle().drain();
    let (second, taken) = start_successor(async || start("second").await).await;
    assert!(
        taken < Duration::from_secs(1),
        "{address}: the successor started after {taken:?}"
    );
    assert_eq!(fetch(address, "/page/name").await, "second");
    gate.open(1);
    assert_eq!(with_timeout(pending).await.unwrap(), "first");
    first.stop().await.unwrap();
    assert_eq!(fetch(address, "/page/name").await, "second");
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successor_of_a_draining_server_gets_the_requests() {
    let folder = tempfile::tempdir().unwrap();
    with_timeout(successor_of_a_server(
        folder.path().join("socket").to_str().unwrap(),
    ))
    .await;
    with_timeout(successor_of_a_server(&own_address("127.0.14.5"))).await;
}

/// Returns the time until the path can be connected to. The clock is paused, so this waits for no real time.
async fn until_bound(path: &Path) -> Duration {
    let began = tokio::time::Instant::now();
    while UnixStream::connect(path).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the path is not bound again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn socket_file_that_is_removed_is_bound_again_within_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let gate = Gate::new();
    for is_service in [true, false] {
        let logs = CapturedLogs::start(tracing::Level::WARN);
        let app = app("first", &gate);
        let running = match is_service {
            true => {
                app.start(Service::bind(format!("ipc://{}", path.display()), SECRET))
                    .await
            }
            false => app.start(Http::unix(&path)).await,
        };
        let running = running.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(until_bound(&path).await <= Duration::from_secs(5), "{is_service}");
        assert_eq!(logs.lines("bound the path again").len(), 1, "{}", logs.text());

        // Replaced by a file, it is not touched, but the log says so. Once.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "data").unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
        assert_eq!(logs.lines("not a socket file").len(), 1, "{}", logs.text());

        std::fs::remove_file(&path).unwrap();
        assert!(until_bound(&path).await <= Duration::from_secs(5), "{is_service}");
        running.stop().await.unwrap();
        assert!(!path.exists());
    }
}
