//! Inline dispatch: handlers that were recently fast are polled in the task that reads requests.

use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::{Browser, with_timeout};
use brubeck::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// State shared by a test and its handlers.
#[derive(Clone, Default)]
struct Shared {
    /// The number of running handlers.
    running: Arc<AtomicUsize>,
    /// Taken by the next handler with the mode `block`, which then blocks until the test sends.
    release: Arc<Mutex<Option<mpsc::Receiver<()>>>>,
}

/// Counts as one running handler until dropped.
struct RunningGuard(Arc<AtomicUsize>);

impl RunningGuard {
    fn new(running: &Arc<AtomicUsize>) -> RunningGuard {
        running.fetch_add(1, Ordering::SeqCst);
        RunningGuard(running.clone())
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits, panics or blocks as `mode` says, then returns the id of the task that it runs in.
#[get("^/dispatched/(?<mode>[a-z]*)$")]
async fn dispatched(mode: String, shared: State<Shared>) -> String {
    let _running = RunningGuard::new(&shared.0.running);
    let release = |shared: &Shared| shared.release.lock().unwrap().take();
    match mode.as_str() {
        "wait" => tokio::time::sleep(Duration::from_millis(20)).await,
        "never" => std::future::pending().await,
        "panic" => panic!("on purpose"),
        "block" => match release(&shared.0) {
            Some(released) => released.recv_timeout(Duration::from_secs(30)).expect("a release"),
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

const ROUTES: Routes<Shared> = routes![dispatched, other];

/// Requests a page and returns the id of the task that its handler ran in.
async fn task_of(browser: &mut Browser, path: &str) -> String {
    let response = browser.get(path).await;
    assert_eq!(response.status, 200, "{path}");
    response.text().to_owned()
}

/// Requests a page until two handlers in a row run in the same task, and returns its id. That is the task that reads
/// requests.
async fn until_inline(browser: &mut Browser, path: &str) -> String {
    let mut before = String::new();
    // Preemption makes some requests slow, so this may take several attempts.
    for _ in 0..200_000 {
        let task = task_of(browser, path).await;
        if task == before {
            return task;
        }
        before = task;
    }
    panic!("the handler was never polled inline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handler_polled_inline_can_wait_panic_and_be_cancelled() {
    let shared = Shared::default();
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, shared.clone()), default_settings).await else {
        return;
    };
    let mut browser = test_bed.browser().await;
    let (first, second) = (
        task_of(&mut browser, "/dispatched/").await,
        task_of(&mut browser, "/dispatched/").await,
    );
    assert_ne!(
        first, second,
        "the handler was polled inline without a streak of fast responses"
    );

    let inline_task = until_inline(&mut browser, "/dispatched/").await;
    let waited = task_of(&mut browser, "/dispatched/wait").await;
    assert_ne!(waited, inline_task, "the handler waited in the reading task");
    assert_ne!(
        task_of(&mut browser, "/dispatched/").await,
        inline_task,
        "the handler was polled inline after it had waited"
    );

    until_inline(&mut browser, "/dispatched/").await;
    assert_eq!(browser.get("/dispatched/panic").await.status, 500);
    assert_eq!(browser.get("/dispatched/").await.status, 200);

    // A closed connection cancels a handler that is polled inline.
    until_inline(&mut browser, "/dispatched/").await;
    let mut leaving = test_bed.browser().await;
    leaving
        .send("GET /dispatched/never HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    wait_until(|| shared.running.load(Ordering::SeqCst) == 1).await;
    drop(leaving);
    wait_until(|| shared.running.load(Ordering::SeqCst) == 0).await;
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pipelined_inline_and_spawned_responses_keep_their_order() {
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, Shared::default()), default_settings).await
    else {
        return;
    };
    let mut browser = test_bed.browser().await;
    let inline_task = until_inline(&mut browser, "/other").await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    browser
        .send(
            ["/dispatched/wait", "/other", "/nowhere", "/other"]
                .map(request)
                .concat(),
        )
        .await;
    assert_ne!(browser.read_response().await.text(), inline_task);
    assert_eq!(browser.read_response().await.status, 200);
    assert_eq!(browser.read_response().await.status, 404);
    assert_eq!(browser.read_response().await.status, 200);
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn blocking_page_is_no_longer_polled_inline() {
    let shared = Shared::default();
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, shared.clone()), default_settings).await else {
        return;
    };
    let (mut blocking, mut others) = (test_bed.browser().await, test_bed.browser().await);
    // The handler must block once while it is polled inline: that ends inline polling. Preemption may end it earlier, so repeat
    // until a blocking request has run in the reading task.
    let mut inline_task = until_inline(&mut blocking, "/dispatched/").await;
    while task_of(&mut blocking, "/dispatched/block").await != inline_task {
        inline_task = until_inline(&mut blocking, "/dispatched/").await;
    }
    let (release, released) = mpsc::channel();
    *shared.release.lock().unwrap() = Some(released);
    blocking
        .send("GET /dispatched/block HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    wait_until(|| shared.running.load(Ordering::SeqCst) == 1).await;
    for _ in 0..10 {
        assert_eq!(others.get("/other").await.status, 200);
    }
    assert_eq!(
        shared.running.load(Ordering::SeqCst),
        1,
        "the handler no longer blocks"
    );
    release.send(()).expect("a blocked handler");
    assert_ne!(with_timeout(blocking.read_response()).await.text(), inline_task);
    test_bed.stop().await;
}
