//! The demo, tested over HTTP.

#[allow(dead_code)]
#[path = "../../../examples/demo_service.rs"]
mod demo_service;
#[allow(dead_code)]
#[path = "../../../examples/demo_service_client.rs"]
mod demo_service_client;

use crate::support::served_app::{Protocol, socket_address, socket_folder};
use crate::support::{Browser, ServedApp, requirements, with_timeout};
use brubeck::{Running, Service};
use demo_service_client::Slow;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

async fn slow() -> (Slow, Running, TempDir) {
    let sockets = socket_folder();
    let slow = Slow {
        addr: socket_address(&sockets, "slow"),
        secret: "my_shared_secret".into(),
        dialect: None,
        responses: None,
    };
    let service = demo_service::app(Duration::from_millis(10));
    let running = with_timeout(service.start(Service::bind(&slow.addr, &slow.secret)))
        .await
        .expect("a free address");
    (slow, running, sockets)
}

async fn check_pages(site: ServedApp) {
    let mut browser = site.browser().await;
    let index = browser.get("/").await;
    assert_eq!(
        (index.status, index.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    for link in ["/service/sync", "/service/async"] {
        assert!(
            index.text().contains(&format!("href=\"{link}\"")),
            "{}",
            index.text()
        );
    }
    let sync = browser.get("/service/sync").await;
    assert!(
        sync.text()
            .contains("I made a round trip, it took a while and I have a great story."),
        "{}",
        sync.text()
    );
    let nowait = browser.get("/service/async").await;
    assert!(
        nowait
            .text()
            .contains("Async is faster, but ... nothing to report on my trip."),
        "{}",
        nowait.text()
    );
    for page in [index, sync, nowait] {
        let loads_external =
            page.text().contains("src=") || page.text().contains("url(") || page.text().contains("@import");
        assert!(!loads_external, "a page loads external resources");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_pages_on_the_embedded_server() {
    let (slow, service, _sockets) = slow().await;
    check_pages(ServedApp::http(demo_service_client::app(slow)).await).await;
    with_timeout(service.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_pages_behind_mongrel2() {
    if !requirements::mongrel2() {
        return;
    }
    let (slow, service, _sockets) = slow().await;
    check_pages(ServedApp::mongrel2(demo_service_client::app(slow), Protocol::Json).await).await;
    with_timeout(service.stop()).await.unwrap();
}

/// Starts the demo and returns it with the address that it prints.
async fn demo(arguments: &[&str], folder: &TempDir) -> (tokio::process::Child, std::net::SocketAddr) {
    let mut demo = tokio::process::Command::new(requirements::example("demo"))
        .args(["--port", "0", "--delay", "10ms"])
        .args(arguments)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the demo");
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines();
    let address = with_timeout(async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if let Some((_, rest)) = line.split_once("The demo is at http://") {
                // Keep the pipe open, because printing to a closed pipe panics.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return rest
                    .split('/')
                    .next()
                    .and_then(|address| address.parse().ok())
                    .expect("an address");
            }
        }
        panic!("the demo exited early")
    })
    .await;
    (demo, address)
}

fn signal(name: &str, pid: u32) {
    let sent = std::process::Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .status();
    assert!(sent.expect("a shell").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_shuts_down_on_sigint_and_sigterm() {
    for name in ["INT", "TERM"] {
        let folder = socket_folder();
        let (mut demo, address) = demo(&[], &folder).await;
        assert_eq!(
            Browser::connect(address).await.get("/service/sync").await.status,
            200
        );
        signal(name, demo.id().expect("a running demo"));
        let status = with_timeout(demo.wait()).await.unwrap();
        assert!(status.success(), "SIG{name}: {status}");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "temporary files are left"
        );
    }
}

/// Mongrel2 ends with the demo, even if the demo is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_stops_its_mongrel2_even_if_killed() {
    if !requirements::mongrel2() {
        return;
    }
    for name in ["TERM", "KILL"] {
        let folder = socket_folder();
        let (mut demo, address) = demo(&["--mongrel2"], &folder).await;
        let mut browser = Browser::connect(address).await;
        assert_eq!(browser.get("/service/sync").await.status, 200);
        signal(name, demo.id().expect("a running demo"));
        assert_eq!(with_timeout(demo.wait()).await.unwrap().success(), name == "TERM");
        // Mongrel2 keeps this connection open while it runs.
        assert_eq!(browser.read_to_close().await, b"");
    }
}
