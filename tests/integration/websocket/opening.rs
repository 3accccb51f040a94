//! What hooks, logs and layers see when a WebSocket opens is what the client is sent: 101.

use crate::support::child;
use crate::support::test_bed::{TestBed, default_settings};
use crate::support::websocket::WebSocketClient;
use brubeck::prelude::*;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tower::ServiceBuilder;

/// WebSockets of each kind that are opened.
const COUNT: usize = 50;

#[websocket("^/echo$")]
async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        let _ = socket.send(message).await;
    }
}

#[get("^/upgrade$")]
async fn upgrade(upgrade: Upgrade) -> Response {
    upgrade.on(async |mut socket: WebSocket| while socket.recv().await.is_some() {})
}

/// The hook replaces the response of this one.
#[websocket("^/refused$")]
async fn refused(mut socket: WebSocket) {
    while socket.recv().await.is_some() {}
}

const ROUTES: Routes<Seen> = routes![echo, upgrade, refused];

/// Counts what the parts of the application have seen.
#[derive(Clone, Default)]
struct Seen {
    caught: Arc<AtomicUsize>,
    by_hook: Arc<AtomicUsize>,
    by_layer: Arc<AtomicUsize>,
}

async fn caught(seen: State<Seen>) -> &'static str {
    seen.caught.fetch_add(1, Ordering::Relaxed);
    "sorry"
}

fn app(seen: &Seen, templates: &std::path::Path) -> App<Seen> {
    let (by_hook, by_layer) = (seen.by_hook.clone(), seen.by_layer.clone());
    let layer = ServiceBuilder::new().map_response(move |response: http::Response<brubeck::Body>| {
        by_layer.fetch_add(usize::from(response.status() == 101), Ordering::Relaxed);
        response
    });
    App::new(ROUTES, seen.clone())
        .templates(templates)
        .catch(500, caught)
        .after(move |message, response| {
            by_hook.fetch_add(usize::from(response.status().code() == 101), Ordering::Relaxed);
            match message.path() {
                "/refused" => Response::text(Status::FORBIDDEN, "not today"),
                _ => response.with_header("x-own", "1"),
            }
        })
        .layer(layer)
}

/// The access log as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn check(test_bed: TestBed, seen: Seen, log: Log) {
    let mut open = Vec::new();
    for path in ["/echo", "/upgrade"] {
        for _ in 0..COUNT {
            let socket = WebSocketClient::open(test_bed.address, path).await;
            assert!(socket.head.contains("\r\nx-own: 1\r\n"), "{}", socket.head);
            for name in ["content-type", "content-length", "transfer-encoding"] {
                assert!(!socket.head.contains(name), "{}", socket.head);
            }
            open.push(socket);
        }
    }
    open[0].send_text("hello").await;
    assert_eq!(open[0].recv_text().await, "hello");
    let version = "sec-websocket-version: 13\r\n";
    let response = WebSocketClient::handshake(test_bed.address, "/refused", version).await;
    let head = response.err().expect("the response of the hook");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    drop(open);
    test_bed.stop().await;
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    assert_eq!(count(&seen.caught), 0);
    assert_eq!(count(&seen.by_hook), 2 * COUNT + 1);
    assert_eq!(count(&seen.by_layer), 2 * COUNT);
    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    assert_eq!(log.matches("status=101").count(), 2 * COUNT, "{log}");
    assert_eq!(log.matches("status=403").count(), 1, "{log}");
    assert_eq!(log.matches("status=500").count(), 0, "{log}");
}

fn start_log() -> Log {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter("brubeck::access=info")
        .with_writer(move || writer.clone())
        .init();
    log
}

/// A folder with a page for errors.
fn templates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let errors = folder.path().join("errors");
    std::fs::create_dir(&errors).expect("a folder");
    std::fs::write(errors.join("500.html"), "{{ 1 // 0 }}").expect("a file");
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_is_101_for_the_application_on_the_embedded_server() {
    if !child::isolated(opening_is_101_for_the_application_on_the_embedded_server).await {
        return;
    }
    let (log, seen, folder) = (start_log(), Seen::default(), templates());
    let test_bed = TestBed::embedded(app(&seen, folder.path())).await;
    check(test_bed, seen, log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_is_101_for_the_application_behind_mongrel2() {
    if !child::isolated(opening_is_101_for_the_application_behind_mongrel2).await {
        return;
    }
    let (log, seen, folder) = (start_log(), Seen::default(), templates());
    if let Some(test_bed) = TestBed::mongrel2(app(&seen, folder.path()), default_settings).await {
        check(test_bed, seen, log).await;
    }
}
