//! Pages that were quick of late run where their request is read.

use crate::support::laboratory::{Laboratory, plain, until};
use crate::support::{Browser, within};
use brubeck::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// What the test and the page share.
#[derive(Clone, Default)]
struct Shared {
    /// How many handlers are under way.
    running: Arc<AtomicUsize>,
    /// Ends a page that blocks.
    release: Arc<Mutex<Option<mpsc::Receiver<()>>>>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells which task it runs in.
#[get("^/moody/(?<what>[a-z]*)$")]
async fn moody(what: String, shared: State<Shared>) -> String {
    shared.0.running.fetch_add(1, Ordering::SeqCst);
    let _running = Running(shared.0.running.clone());
    let release = |shared: &Shared| shared.release.lock().unwrap().take();
    match what.as_str() {
        "wait" => tokio::time::sleep(Duration::from_millis(20)).await,
        "never" => std::future::pending().await,
        "panic" => panic!("on purpose"),
        "block" => match release(&shared.0) {
            Some(released) => released.recv_timeout(Duration::from_secs(30)).expect("an end"),
            None => std::thread::sleep(Duration::from_millis(5)),
        },
        _ => {}
    }
    task()
}

#[get("^/other$")]
async fn other() -> String {
    task()
}

fn task() -> String {
    tokio::task::try_id().map_or_else(|| "none".to_owned(), |id| id.to_string())
}

const ROUTES: Routes<Shared> = routes![moody, other];

/// The task in which a page ran.
async fn asked(browser: &mut Browser, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, 200, "{path}");
    answer.text().to_owned()
}

/// Asks until the page runs where its request is read; tells which task that is.
async fn quick(browser: &mut Browser, path: &str) -> String {
    let mut before = String::new();
    // Another program may have the processor again and again, but not for ever.
    for _ in 0..200_000 {
        let there = asked(browser, path).await;
        if there == before {
            return there;
        }
        before = there;
    }
    panic!("no page was quick");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fast_page_is_polled_inline_and_still_waits_panics_and_cancels() {
    let shared = Shared::default();
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, shared.clone()), plain).await else {
        return;
    };
    let mut browser = laboratory.browser().await;
    let (first, second) = (
        asked(&mut browser, "/moody/").await,
        asked(&mut browser, "/moody/").await,
    );
    assert_ne!(first, second, "each has its own task");

    let there = quick(&mut browser, "/moody/").await;
    let waited = asked(&mut browser, "/moody/wait").await;
    assert_ne!(waited, there, "it was handed to a task when it had to wait");
    assert_ne!(
        asked(&mut browser, "/moody/").await,
        there,
        "it is not counted on any more"
    );

    quick(&mut browser, "/moody/").await;
    assert_eq!(browser.get("/moody/panic").await.status, 500);
    assert_eq!(browser.get("/moody/").await.status, 200);

    // A browser that leaves stops it.
    quick(&mut browser, "/moody/").await;
    let mut leaving = laboratory.browser().await;
    leaving
        .send("GET /moody/never HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    until(|| shared.running.load(Ordering::SeqCst) == 1).await;
    drop(leaving);
    until(|| shared.running.load(Ordering::SeqCst) == 0).await;
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pipelined_inline_and_spawned_responses_keep_their_order() {
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, Shared::default()), plain).await else {
        return;
    };
    let mut browser = laboratory.browser().await;
    let there = quick(&mut browser, "/other").await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    browser
        .send(
            ["/moody/wait", "/other", "/nowhere", "/other"]
                .map(request)
                .concat(),
        )
        .await;
    assert_ne!(browser.answer().await.text(), there);
    assert_eq!(browser.answer().await.status, 200);
    assert_eq!(browser.answer().await.status, 404);
    assert_eq!(browser.answer().await.status, 200);
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn blocking_page_is_no_longer_polled_inline() {
    let shared = Shared::default();
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, shared.clone()), plain).await else {
        return;
    };
    let (mut blocking, mut others) = (laboratory.browser().await, laboratory.browser().await);
    // Nobody can know that it will. Where another program has the processor, it is not counted on; then it is asked again.
    let mut there = quick(&mut blocking, "/moody/").await;
    while asked(&mut blocking, "/moody/block").await != there {
        there = quick(&mut blocking, "/moody/").await;
    }
    let (release, released) = mpsc::channel();
    *shared.release.lock().unwrap() = Some(released);
    blocking
        .send("GET /moody/block HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    until(|| shared.running.load(Ordering::SeqCst) == 1).await;
    for _ in 0..10 {
        assert_eq!(others.get("/other").await.status, 200);
    }
    assert_eq!(shared.running.load(Ordering::SeqCst), 1, "it still blocks");
    release.send(()).expect("somebody who waits");
    assert_ne!(within(blocking.answer()).await.text(), there);
    laboratory.stop().await;
}
