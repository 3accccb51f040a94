//! Handlers that block a thread, and handlers of which only some run at once.

use crate::support::application;
use brubeck::prelude::*;
use brubeck::{Application, Cancellation, Payload};
use futures_util::future::{BoxFuture, join_all};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

type Ends<T> = (Sender<T>, Mutex<Receiver<T>>);

/// What the handlers of a test tell it, and what it tells them.
struct Signals {
    began: Ends<()>,
    go_on: Ends<()>,
    saw: Ends<bool>,
}

fn signals() -> Arc<Signals> {
    fn ends<T>() -> Ends<T> {
        let (sender, receiver) = channel();
        (sender, Mutex::new(receiver))
    }
    Arc::new(Signals {
        began: ends(),
        go_on: ends(),
        saw: ends(),
    })
}

fn wait<T>(ends: &Ends<T>) -> T {
    ends.1.lock().unwrap().recv_timeout(SOON).expect("a signal")
}

#[derive(Clone, AppState)]
struct Test {
    signals: Arc<Signals>,
}

#[service_handler(path = "^/double$", blocking)]
fn double(number: Arg<u32>) -> Json<u32> {
    Json(number.0 * 2)
}

#[service_handler(path = "^/stopped$", blocking)]
fn stopped(cancelled: Cancellation, signals: State<Arc<Signals>>) {
    assert!(!cancelled.is_cancelled());
    signals.began.0.send(()).unwrap();
    wait(&signals.go_on);
    signals.saw.0.send(cancelled.is_cancelled()).unwrap();
}

#[service_handler(path = "^/panics$", blocking)]
fn panics() {
    panic!("on a thread of its own");
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[service_handler(path = "^/narrow$", concurrency = 2)]
async fn narrow() {
    let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
    MOST.fetch_max(running, Ordering::SeqCst);
    tokio::task::yield_now().await;
    RUNNING.fetch_sub(1, Ordering::SeqCst);
}

#[service_handler(path = "^/held$", blocking, concurrency = 1)]
fn held(signals: State<Arc<Signals>>) {
    signals.began.0.send(()).unwrap();
    wait(&signals.go_on);
}

const ROUTES: Routes<Test> = routes![double, stopped, panics, narrow, held];

#[test]
fn route_spec_records_blocking_and_concurrency() {
    let facts: Vec<_> = ROUTES
        .specs()
        .map(|spec| (spec.name, spec.blocking, spec.concurrency))
        .collect();
    let expected = [
        ("double", true, None),
        ("stopped", true, None),
        ("panics", true, None),
        ("narrow", false, Some(2)),
        ("held", true, Some(1)),
    ];
    assert_eq!(facts, expected);
}

async fn start(signals: Arc<Signals>) -> Arc<dyn Application> {
    application::start(App::new(ROUTES, Test { signals })).await.1
}

fn ask(application: &Arc<dyn Application>, path: &str) -> BoxFuture<'static, Response> {
    let message = Message::service(Method::Request, path).with_arguments(r#"{"number": 21}"#);
    application.clone().answer(message)
}

async fn on_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn blocking_handler_returns_its_response() {
    let application = start(signals()).await;
    let (status, _, payload) = ask(&application, "/double").await.into_parts();
    assert_eq!(status.code(), 200);
    assert!(matches!(payload, Payload::Json(text) if text == "42"));
}

#[tokio::test]
async fn blocking_handler_panic_is_500() {
    let application = start(signals()).await;
    assert_eq!(ask(&application, "/panics").await.status().code(), 500);
}

#[tokio::test]
async fn blocking_handler_observes_cancellation() {
    let signals = signals();
    let application = start(signals.clone()).await;
    let answer = tokio::spawn(ask(&application, "/stopped"));
    let began = signals.clone();
    on_thread(move || wait(&began.began)).await;
    answer.abort();
    assert!(answer.await.is_err_and(|error| error.is_cancelled()));
    signals.go_on.0.send(()).unwrap();
    assert!(on_thread(move || wait(&signals.saw)).await, "it was not told");
}

#[tokio::test]
async fn concurrency_limit_bounds_running_handlers() {
    let application = start(signals()).await;
    let answers = join_all((0..20).map(|_| ask(&application, "/narrow"))).await;
    assert!(answers.iter().all(|answer| answer.status().code() == 200));
    assert_eq!(
        (MOST.load(Ordering::SeqCst), RUNNING.load(Ordering::SeqCst)),
        (2, 0)
    );
}

#[tokio::test]
async fn cancelled_blocking_handler_holds_its_slot_until_the_thread_ends() {
    let signals = signals();
    let application = start(signals.clone()).await;
    let first = tokio::spawn(ask(&application, "/held"));
    let began = signals.clone();
    on_thread(move || wait(&began.began)).await;
    first.abort();
    assert!(first.await.is_err());
    let mut second = ask(&application, "/held");
    assert!(futures_util::poll!(&mut second).is_pending());
    assert!(
        signals.began.1.lock().unwrap().try_recv().is_err(),
        "the second runs beside the first"
    );
    for _ in 0..2 {
        signals.go_on.0.send(()).unwrap();
    }
    assert_eq!(second.await.status().code(), 200);
}
