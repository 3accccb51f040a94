//! Blocking handlers and handlers with a concurrency limit.

use crate::support::application;
use brubeck::prelude::*;
use brubeck::{Cancellation, Method, Payload};
use brubeck_runtime::Application;
use futures_util::future::{BoxFuture, join_all};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Both ends of a channel.
type Signal<T> = (Sender<T>, Mutex<Receiver<T>>);

/// Channels between a test and its handlers.
struct Signals {
    /// A handler sends here when it starts.
    started: Signal<()>,
    /// The test sends here to let a handler end.
    release: Signal<()>,
    /// A handler sends here before it ends: `true` if its cancellation token is cancelled.
    was_cancelled: Signal<bool>,
}

fn signals() -> Arc<Signals> {
    fn signal<T>() -> Signal<T> {
        let (sender, receiver) = channel();
        (sender, Mutex::new(receiver))
    }
    Arc::new(Signals {
        started: signal(),
        release: signal(),
        was_cancelled: signal(),
    })
}

fn wait<T>(signal: &Signal<T>) -> T {
    signal
        .1
        .lock()
        .unwrap()
        .recv_timeout(SIGNAL_TIMEOUT)
        .expect("a signal")
}

#[derive(Clone, AppState)]
struct ServiceState {
    signals: Arc<Signals>,
}

#[service_handler(path = "^/double$", blocking)]
fn double(number: Arg<u32>) -> Json<u32> {
    Json(number.0 * 2)
}

#[service_handler(path = "^/stopped$", blocking)]
fn stopped(cancelled: Cancellation, signals: State<Arc<Signals>>) {
    assert!(!cancelled.is_cancelled());
    signals.started.0.send(()).unwrap();
    wait(&signals.release);
    signals.was_cancelled.0.send(cancelled.is_cancelled()).unwrap();
}

#[service_handler(path = "^/panics$", blocking)]
fn panics() {
    panic!("on purpose");
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MAX_RUNNING: AtomicUsize = AtomicUsize::new(0);

#[service_handler(path = "^/narrow$", concurrency = 2)]
async fn narrow() {
    let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
    MAX_RUNNING.fetch_max(running, Ordering::SeqCst);
    tokio::task::yield_now().await;
    RUNNING.fetch_sub(1, Ordering::SeqCst);
}

#[service_handler(path = "^/held$", blocking, concurrency = 1)]
fn held(signals: State<Arc<Signals>>) {
    signals.started.0.send(()).unwrap();
    wait(&signals.release);
}

const ROUTES: Routes<ServiceState> = routes![double, stopped, panics, narrow, held];

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
    application::start(App::new(ROUTES, ServiceState { signals }))
        .await
        .1
}

fn call(application: &Arc<dyn Application>, path: &str) -> BoxFuture<'static, Response> {
    let message = Message::service(Method::Request, path).with_arguments(r#"{"number": 21}"#);
    application.clone().answer(message)
}

async fn on_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn blocking_handler_returns_its_response() {
    let application = start(signals()).await;
    let (status, _, payload) = call(&application, "/double").await.into_parts();
    assert_eq!(status.code(), 200);
    assert!(matches!(payload, Payload::Json(text) if text == "42"));
}

#[tokio::test]
async fn blocking_handler_panic_is_500() {
    let application = start(signals()).await;
    assert_eq!(call(&application, "/panics").await.status().code(), 500);
}

#[tokio::test]
async fn blocking_handler_observes_cancellation() {
    let signals = signals();
    let application = start(signals.clone()).await;
    let response = tokio::spawn(call(&application, "/stopped"));
    let waiting = signals.clone();
    on_thread(move || wait(&waiting.started)).await;
    response.abort();
    assert!(response.await.is_err_and(|error| error.is_cancelled()));
    signals.release.0.send(()).unwrap();
    assert!(
        on_thread(move || wait(&signals.was_cancelled)).await,
        "the handler saw no cancellation"
    );
}

#[tokio::test]
async fn concurrency_limit_bounds_running_handlers() {
    let application = start(signals()).await;
    let responses = join_all((0..20).map(|_| call(&application, "/narrow"))).await;
    assert!(responses.iter().all(|response| response.status().code() == 200));
    assert_eq!(
        (MAX_RUNNING.load(Ordering::SeqCst), RUNNING.load(Ordering::SeqCst)),
        (2, 0)
    );
}

#[tokio::test]
async fn cancelled_blocking_handler_holds_its_slot_until_the_thread_ends() {
    let signals = signals();
    let application = start(signals.clone()).await;
    let first = tokio::spawn(call(&application, "/held"));
    let waiting = signals.clone();
    on_thread(move || wait(&waiting.started)).await;
    first.abort();
    assert!(first.await.is_err());
    let mut second = call(&application, "/held");
    assert!(futures_util::poll!(&mut second).is_pending());
    assert!(
        signals.started.1.lock().unwrap().try_recv().is_err(),
        "the second call runs while the thread of the first one holds the slot"
    );
    for _ in 0..2 {
        signals.release.0.send(()).unwrap();
    }
    assert_eq!(second.await.status().code(), 200);
}
