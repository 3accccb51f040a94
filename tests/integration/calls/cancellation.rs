//! Cancellation of service handlers by a closed browser connection, a deadline or an aborted call. An async handler is
//! dropped; a blocking one holds its concurrency slot until it returns.

use crate::support::served_app::{Protocol, socket_address, socket_folder};
use crate::support::{Gate, ServedApp, requirements, with_timeout};
use brubeck::prelude::*;
use brubeck::{Cancellation, Deadline, Phase, Running};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::Semaphore;

const SECRET: &str = "my_shared_secret";

/// The number of browser connections that a test closes, for each front end.
const BROWSERS: usize = 200;

#[derive(Clone, AppState)]
struct ServiceState {
    gate: Gate,
    threads: Arc<Threads>,
}

/// The state that all calls of the handler [`blocks`] share.
struct Threads {
    started: Semaphore,
    ended: Semaphore,
    max_running: AtomicUsize,
    running: AtomicUsize,
    /// Lets cancelled handlers return.
    released: AtomicBool,
}

#[service_handler(path = "^/slow", method = "request")]
async fn slow(gate: State<Gate>) -> &'static str {
    gate.pass().await;
    "done"
}

/// Returns the time until the deadline, in milliseconds.
#[service_handler(path = "^/time", method = "request")]
async fn time(deadline: Deadline) -> Json<Option<u64>> {
    Json(deadline.remaining().map(|left| left.as_millis() as u64))
}

/// Spawns a task that ends when the call is cancelled.
#[service_handler(path = "^/spawn", method = "request")]
async fn spawns_task(gate: State<Gate>, cancellation: Cancellation) {
    let gate = gate.0;
    gate.signal_arrival();
    tokio::spawn({
        let gate = gate.clone();
        async move {
            cancellation.cancelled().await;
            gate.signal_arrival();
        }
    });
    gate.pass().await;
}

/// Blocks its thread until the call is cancelled and the test releases it.
#[service_handler(path = "^/blocks", method = "request", blocking)]
fn blocks(threads: State<Arc<Threads>>, cancellation: Cancellation) {
    let threads = threads.0;
    threads.max_running.fetch_max(
        threads.running.fetch_add(1, Ordering::SeqCst) + 1,
        Ordering::SeqCst,
    );
    threads.started.add_permits(1);
    while !cancellation.is_cancelled() || !threads.released.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    threads.running.fetch_sub(1, Ordering::SeqCst);
    threads.ended.add_permits(1);
}

const SERVICE_ROUTES: Routes<ServiceState> = routes![slow, time, spawns_task, blocks];

struct TestService {
    running: Running,
    address: String,
    state: ServiceState,
    _sockets: TempDir,
}

impl TestService {
    async fn start(concurrency: usize) -> TestService {
        let sockets = socket_folder();
        let address = socket_address(&sockets, "service");
        let state = ServiceState {
            gate: Gate::new(),
            threads: Arc::new(Threads {
                started: Semaphore::new(0),
                ended: Semaphore::new(0),
                max_running: AtomicUsize::new(0),
                running: AtomicUsize::new(0),
                released: AtomicBool::new(false),
            }),
        };
        let bound = brubeck::Service::bind(&address, SECRET).concurrency(concurrency);
        let running = with_timeout(App::new(SERVICE_ROUTES, state.clone()).start(bound))
            .await
            .unwrap();
        TestService {
            running,
            address,
            state,
            _sockets: sockets,
        }
    }

    fn client(&self) -> Client {
        Client::connect(&brubeck::ServiceAddress::new(&self.address, SECRET)).unwrap()
    }

    async fn stop(self) {
        with_timeout(self.running.stop()).await.unwrap();
    }
}

// ---- browsers ----------------------------------------------------------------------------------

#[derive(Clone, AppState)]
struct WebState {
    address: Address,
}

#[derive(Clone)]
struct Address(String);

#[get("^/service/sync$")]
async fn sync(services: Services, address: State<Address>) -> Result<String, CallError> {
    let response = services.register(&address.0.0, SECRET)?.request("/slow").await?;
    Ok(response.body.to_string())
}

const WEB_ROUTES: Routes<WebState> = routes![sync];

/// Closes browser connections one after another, each while a service handler runs for it, and waits until that handler
/// is dropped. Prints the times that this took.
async fn assert_disconnect_cancels_handler(front: &str, site: ServedApp, service: &TestService) {
    let gate = &service.state.gate;
    let mut took = Vec::with_capacity(BROWSERS);
    for _ in 0..BROWSERS {
        let mut browser = site.browser().await;
        browser
            .send("GET /service/sync HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        gate.wait_for_arrivals(1).await;
        let closed_at = Instant::now();
        drop(browser);
        gate.wait_for_exits(1).await;
        took.push(closed_at.elapsed());
    }
    took.sort();
    println!(
        "{front}: time from closing the connection to dropping the service handler, {BROWSERS} times: p50 {:?}, p99 {:?}, max {:?}",
        took[BROWSERS / 2],
        took[BROWSERS * 99 / 100],
        took[BROWSERS - 1]
    );
    // No cancelled call still holds the only slot.
    gate.open(1);
    assert_eq!(site.browser().await.get("/service/sync").await.text(), "\"done\"");
    site.stop().await;
}

fn pages(service: &TestService) -> App<WebState> {
    App::new(
        WEB_ROUTES,
        WebState {
            address: Address(service.address.clone()),
        },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_disconnect_cancels_the_service_handler_behind_http() {
    let service = TestService::start(1).await;
    let site = ServedApp::http(pages(&service)).await;
    assert_disconnect_cancels_handler("http", site, &service).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_disconnect_cancels_the_service_handler_behind_mongrel2() {
    if !requirements::mongrel2() {
        return;
    }
    let service = TestService::start(1).await;
    let site = ServedApp::mongrel2(pages(&service), Protocol::Json).await;
    assert_disconnect_cancels_handler("mongrel2", site, &service).await;
    service.stop().await;
}

// ---- calls --------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_receives_the_deadline_and_is_cancelled_at_it() {
    let service = TestService::start(1).await;
    let client = service.client();
    let call = client.request("/time").timeout(Duration::from_secs(5));
    let left = with_timeout(call.into_future())
        .await
        .unwrap()
        .body
        .as_u64()
        .unwrap();
    assert!((1..=5000).contains(&left), "{left} ms of 5 s");

    let call = client.request("/slow").timeout(Duration::from_millis(50));
    let error = with_timeout(call.into_future()).await.unwrap_err();
    assert_eq!(error, CallError::deadline(Phase::Running));
    service.state.gate.wait_for_exits(1).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_token_reaches_a_spawned_task() {
    let service = TestService::start(1).await;
    let call = tokio::spawn(service.client().request("/spawn").into_future());
    let gate = &service.state.gate;
    // One arrival before the task is spawned, and one at the gate.
    gate.wait_for_arrivals(2).await;
    assert_eq!(gate.unobserved_arrivals(), 0);
    call.abort();
    // The spawned task has seen the cancellation, and the handler is dropped.
    gate.wait_for_arrivals(1).await;
    gate.wait_for_exits(1).await;
    service.stop().await;
}

/// A thread cannot be dropped, so its slot is released only when the handler returns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_blocking_handler_holds_its_concurrency_slot_in_the_service() {
    let service = TestService::start(1).await;
    let (client, threads) = (service.client(), service.state.threads.clone());
    for _ in 0..2 {
        let call = tokio::spawn(client.request("/blocks").into_future());
        with_timeout(threads.started.acquire()).await.unwrap().forget();
        call.abort();
        assert!(with_timeout(call).await.unwrap_err().is_cancelled());
        let next = tokio::spawn(client.request("/time").into_future());
        // The service has one slot, so the next call waits.
        let mut next = Box::pin(next);
        assert!(
            tokio::time::timeout(Duration::from_millis(50), &mut next)
                .await
                .is_err(),
            "the next call runs while the thread of the first one holds the slot"
        );
        threads.released.store(true, Ordering::SeqCst);
        with_timeout(threads.ended.acquire()).await.unwrap().forget();
        with_timeout(next).await.unwrap().unwrap();
        threads.released.store(false, Ordering::SeqCst);
    }
    assert_eq!(threads.max_running.load(Ordering::SeqCst), 1);
    service.stop().await;
}
