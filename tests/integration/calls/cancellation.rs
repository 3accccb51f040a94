//! Whoever stops waiting frees the worker: browsers that close, deadlines that pass, calls that are given up.

use crate::support::site::{Protocol, socket, sockets};
use crate::support::{Gate, Site, parts, within};
use brubeck::prelude::*;
use brubeck::{Cancellation, Deadline, Phase, Running};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::Semaphore;

const SECRET: &str = "my_shared_secret";

/// How often a browser closes, for each front end.
const BROWSERS: usize = 200;

#[derive(Clone, AppState)]
struct Works {
    gate: Gate,
    threads: Arc<Threads>,
}

struct Threads {
    began: Semaphore,
    ended: Semaphore,
    most: AtomicUsize,
    running: AtomicUsize,
    freed: AtomicBool,
}

#[service_handler(path = "^/slow", method = "request")]
async fn slow(gate: State<Gate>) -> &'static str {
    gate.pass().await;
    "done"
}

/// Says how much time there is, in milliseconds.
#[service_handler(path = "^/time", method = "request")]
async fn time(deadline: Deadline) -> Json<Option<u64>> {
    Json(deadline.remaining().map(|left| left.as_millis() as u64))
}

/// Hands work to a task of its own, which stops when nobody waits any more.
#[service_handler(path = "^/hands-on", method = "request")]
async fn hands_on(gate: State<Gate>, cancellation: Cancellation) {
    let gate = gate.0;
    gate.knock();
    tokio::spawn({
        let gate = gate.clone();
        async move {
            cancellation.cancelled().await;
            gate.knock();
        }
    });
    gate.pass().await;
}

/// Blocks its thread until nobody waits any more.
#[service_handler(path = "^/blocks", method = "request", blocking)]
fn blocks(threads: State<Arc<Threads>>, cancellation: Cancellation) {
    let threads = threads.0;
    threads.most.fetch_max(
        threads.running.fetch_add(1, Ordering::SeqCst) + 1,
        Ordering::SeqCst,
    );
    threads.began.add_permits(1);
    while !cancellation.is_cancelled() || !threads.freed.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    threads.running.fetch_sub(1, Ordering::SeqCst);
    threads.ended.add_permits(1);
}

const WORKS: Routes<Works> = routes![slow, time, hands_on, blocks];

struct Service {
    running: Running,
    address: String,
    works: Works,
    _sockets: TempDir,
}

impl Service {
    async fn start(concurrency: usize) -> Service {
        let sockets = sockets();
        let address = socket(&sockets, "service");
        let works = Works {
            gate: Gate::new(),
            threads: Arc::new(Threads {
                began: Semaphore::new(0),
                ended: Semaphore::new(0),
                most: AtomicUsize::new(0),
                running: AtomicUsize::new(0),
                freed: AtomicBool::new(false),
            }),
        };
        let bound = brubeck::Service::bind(&address, SECRET).concurrency(concurrency);
        let running = within(App::new(WORKS, works.clone()).start(bound)).await.unwrap();
        Service {
            running,
            address,
            works,
            _sockets: sockets,
        }
    }

    fn client(&self) -> Client {
        Client::connect(&brubeck::ServiceAddress::new(&self.address, SECRET)).unwrap()
    }

    async fn stop(self) {
        within(self.running.stop()).await.unwrap();
    }
}

// ---- browsers ----------------------------------------------------------------------------------

#[derive(Clone, AppState)]
struct Pages {
    address: Address,
}

#[derive(Clone)]
struct Address(String);

#[get("^/service/sync$")]
async fn sync(services: Services, address: State<Address>) -> Result<String, CallError> {
    let answer = services.register(&address.0.0, SECRET)?.request("/slow").await?;
    Ok(answer.body.to_string())
}

const PAGES: Routes<Pages> = routes![sync];

/// Closes browsers whose requests a worker is busy with; says how long it takes until its handler is dropped.
async fn closing_frees_the_worker(front: &str, site: Site, service: &Service) {
    let gate = &service.works.gate;
    let mut took = Vec::with_capacity(BROWSERS);
    for _ in 0..BROWSERS {
        let mut browser = site.browser().await;
        browser
            .send("GET /service/sync HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        gate.arrived(1).await;
        let closed = Instant::now();
        drop(browser);
        gate.left(1).await;
        took.push(closed.elapsed());
    }
    took.sort();
    println!(
        "{front}: browser closes -> handler of the worker is dropped, {BROWSERS} times: p50 {:?}, p99 {:?}, most {:?}",
        took[BROWSERS / 2],
        took[BROWSERS * 99 / 100],
        took[BROWSERS - 1]
    );
    // Nothing is left over: the worker still answers, and answers the right one.
    gate.open(1);
    assert_eq!(site.browser().await.get("/service/sync").await.text(), "\"done\"");
    site.stop().await;
}

fn pages(service: &Service) -> App<Pages> {
    App::new(
        PAGES,
        Pages {
            address: Address(service.address.clone()),
        },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_disconnect_cancels_the_service_handler_behind_http() {
    let service = Service::start(1).await;
    let site = Site::http(pages(&service)).await;
    closing_frees_the_worker("http", site, &service).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_disconnect_cancels_the_service_handler_behind_mongrel2() {
    if !parts::mongrel2() {
        return;
    }
    let service = Service::start(1).await;
    let site = Site::mongrel2(pages(&service), Protocol::Json).await;
    closing_frees_the_worker("mongrel2", site, &service).await;
    service.stop().await;
}

// ---- calls --------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_receives_the_deadline_and_is_cancelled_at_it() {
    let service = Service::start(1).await;
    let client = service.client();
    let call = client.request("/time").timeout(Duration::from_secs(5));
    let left = within(call.into_future()).await.unwrap().body.as_u64().unwrap();
    assert!((1..=5000).contains(&left), "{left} ms of 5 s");

    let call = client.request("/slow").timeout(Duration::from_millis(50));
    let error = within(call.into_future()).await.unwrap_err();
    assert_eq!(
        error,
        CallError::Deadline {
            phase: Phase::Running
        }
    );
    service.works.gate.left(1).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_token_reaches_a_spawned_task() {
    let service = Service::start(1).await;
    let call = tokio::spawn(service.client().request("/hands-on").into_future());
    let gate = &service.works.gate;
    // That it began, and that it waits.
    gate.arrived(2).await;
    assert_eq!(gate.waiting(), 0);
    call.abort();
    // The task that was left behind.
    gate.arrived(1).await;
    gate.left(1).await;
    service.stop().await;
}

/// A thread cannot be dropped: until it has seen that nobody waits, its slot is not given to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_blocking_handler_holds_its_concurrency_slot_in_the_service() {
    let service = Service::start(1).await;
    let (client, threads) = (service.client(), service.works.threads.clone());
    for _ in 0..2 {
        let call = tokio::spawn(client.request("/blocks").into_future());
        within(threads.began.acquire()).await.unwrap().forget();
        call.abort();
        assert!(within(call).await.unwrap_err().is_cancelled());
        let next = tokio::spawn(client.request("/time").into_future());
        // The call that follows waits for the slot, whatever else the worker does meanwhile.
        let mut next = Box::pin(next);
        assert!(
            tokio::time::timeout(Duration::from_millis(50), &mut next)
                .await
                .is_err(),
            "two have one slot"
        );
        threads.freed.store(true, Ordering::SeqCst);
        within(threads.ended.acquire()).await.unwrap().forget();
        within(next).await.unwrap().unwrap();
        threads.freed.store(false, Ordering::SeqCst);
    }
    assert_eq!(threads.most.load(Ordering::SeqCst), 1);
    service.stop().await;
}
