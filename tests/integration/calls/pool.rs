//! Clients with one or several workers: load balancing, the hop limit, draining, retries, overload, and the built-in
//! operations `ping`, `info` and `stats`.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Gate, child, with_timeout};
use brubeck::prelude::*;
use brubeck::{Method, Phase, Running, Service, ServiceAddress};
use futures_util::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECRET: &str = "my_shared_secret";

#[derive(Clone, AppState)]
struct ServiceState {
    address: OwnAddress,
    gate: Gate,
    runs: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
}

#[derive(Clone)]
struct OwnAddress(String);

#[service_handler(path = "^/where", method = "request")]
async fn whereabouts(address: State<OwnAddress>) -> Json<String> {
    Json(address.0.0)
}

#[service_handler(path = "^/slow", method = "request", concurrency = 8)]
async fn slow(gate: State<Gate>, address: State<OwnAddress>) -> Json<String> {
    gate.pass().await;
    Json(address.0.0)
}

/// Fails at once if the worker is broken, and takes some time otherwise.
#[service_handler(path = "^/work", method = "request")]
async fn work(
    is_broken: State<Arc<AtomicBool>>,
    address: State<OwnAddress>,
) -> Result<Json<String>, Problem> {
    if is_broken.load(Ordering::SeqCst) {
        return Err(Problem::new(500, "the disk is full"));
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(Json(address.0.0))
}

/// The contract of `read`, which the service does not use.
#[service_client]
pub trait Reader {
    #[call("/read")]
    async fn read(&self) -> Result<u64, Problem>;
}

/// Responds with a text instead of a number if the worker is broken.
#[service_handler(path = "^/read$", method = "request")]
async fn read_number(is_broken: State<Arc<AtomicBool>>) -> Json<serde_json::Value> {
    Json(match is_broken.load(Ordering::SeqCst) {
        true => "seven".into(),
        false => 7.into(),
    })
}

#[service_handler(path = "^/nap", method = "request")]
async fn nap(millis: Arg<u64>) -> Json<u64> {
    tokio::time::sleep(Duration::from_millis(millis.0)).await;
    Json(millis.0)
}

/// Never responds, so a call is lost when its worker is dropped.
#[service_handler(path = "^/dies", method = "request")]
async fn dies(runs: State<Arc<AtomicUsize>>) -> Json<u64> {
    runs.0.fetch_add(1, Ordering::SeqCst);
    Json(std::future::pending().await)
}

/// Calls itself until the hop limit stops it.
#[service_handler(path = "^/again", method = "request")]
async fn again(
    services: Services,
    address: State<OwnAddress>,
    runs: State<Arc<AtomicUsize>>,
) -> Result<Json<u64>, CallError> {
    runs.0.fetch_add(1, Ordering::SeqCst);
    let response = services.register(&address.0.0, SECRET)?.request("/again").await?;
    let status = response.status;
    assert!(!status.is_success());
    Err(CallError::Refused(status.to_string().into()))
}

#[service_handler(path = "^/user/(?<id>[0-9]+)$", method = "get", blocking, concurrency = 2)]
fn user(id: u64) -> Json<u64> {
    Json(id)
}

const SERVICE_ROUTES: Routes<ServiceState> =
    routes![whereabouts, slow, work, read_number, nap, dies, again, user];

struct ServiceInstance {
    running: Running,
    address: String,
    gate: Gate,
    runs: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
}

impl ServiceInstance {
    async fn start(folder: &TempDir, name: &str, concurrency: usize) -> ServiceInstance {
        let address = socket_address(folder, name);
        let state = ServiceState {
            address: OwnAddress(address.clone()),
            gate: Gate::new(),
            runs: Arc::default(),
            is_broken: Arc::default(),
        };
        let (gate, runs) = (state.gate.clone(), state.runs.clone());
        let is_broken = state.is_broken.clone();
        let bound = Service::bind(&address, SECRET).concurrency(concurrency);
        ServiceInstance {
            running: with_timeout(App::new(SERVICE_ROUTES, state).start(bound))
                .await
                .unwrap(),
            address,
            gate,
            runs,
            is_broken,
        }
    }

    async fn stop(self) {
        with_timeout(self.running.stop()).await.unwrap();
    }
}

async fn call_ok(call: Call) -> serde_json::Value {
    let response = with_timeout(call.into_future()).await.unwrap();
    assert_eq!(response.status.code(), 200, "{response:?}");
    response.body
}

/// Makes calls until `worker` responds to one, and returns their number.
async fn call_until_served_by(client: &Client, worker: &ServiceInstance) -> usize {
    let mut calls = 1;
    with_timeout(async {
        while call_ok(client.request("/where")).await != worker.address {
            calls += 1;
        }
    })
    .await;
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_balanced_and_workers_are_added_and_removed() {
    let folder = socket_folder();
    let (a, b, c) = (
        ServiceInstance::start(&folder, "a", 4).await,
        ServiceInstance::start(&folder, "b", 4).await,
        ServiceInstance::start(&folder, "c", 4).await,
    );
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET).and(&b.address)).unwrap();
    call_until_served_by(&client, &a).await;
    call_until_served_by(&client, &b).await;
    let slow = |_| tokio::spawn(client.request("/slow").into_future());
    // The least loaded worker gets the next call, so both get two of the four.
    let calls: Vec<_> = (0..4).map(slow).collect();
    a.gate.wait_for_arrivals(2).await;
    b.gate.wait_for_arrivals(2).await;

    client.add_worker(&c.address).unwrap();
    client.add_worker(&c.address).unwrap();
    assert_eq!(client.workers().len(), 3);
    call_until_served_by(&client, &c).await;
    let last = slow(4);
    c.gate.wait_for_arrivals(1).await;

    // A removed worker finishes its call and gets no new ones.
    assert!(client.remove_worker(&c.address).unwrap());
    assert!(!client.remove_worker(&c.address).unwrap());
    for _ in 0..50 {
        assert_ne!(call_ok(client.request("/where")).await, c.address);
    }
    c.gate.open(1);
    assert_eq!(with_timeout(last).await.unwrap().unwrap().body, c.address);
    a.gate.open(2);
    b.gate.open(2);
    for call in calls {
        assert_eq!(with_timeout(call).await.unwrap().unwrap().status.code(), 200);
    }
    for worker in [a, b, c] {
        worker.stop().await;
    }
}

/// Makes 400 calls, 64 at once. Returns how many failed, and how many a worker has run.
async fn work_in_parallel(client: &Client, worker: &ServiceInstance) -> (usize, usize) {
    let (failed, own) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let calls = futures_util::stream::iter(0..400).for_each_concurrent(64, |_| async {
        let response = client.request("/work").await.unwrap();
        failed.fetch_add(usize::from(response.status.code() == 500), Ordering::SeqCst);
        own.fetch_add(usize::from(response.body == worker.address), Ordering::SeqCst);
    });
    with_timeout(calls).await;
    (failed.into_inner(), own.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_worker_gets_few_calls_and_its_share_again_after_it_has_recovered() {
    let folder = socket_folder();
    let (good, broken) = (
        ServiceInstance::start(&folder, "good", 64).await,
        ServiceInstance::start(&folder, "broken", 64).await,
    );
    broken.is_broken.store(true, Ordering::SeqCst);
    let client = Client::connect(&ServiceAddress::new(&good.address, SECRET).and(&broken.address)).unwrap();
    call_until_served_by(&client, &good).await;
    call_until_served_by(&client, &broken).await;
    // It fails at once, so it would get nearly all calls. The calls that are sent before it is ejected fail.
    let (failed, _) = work_in_parallel(&client, &broken).await;
    assert!((5..=64).contains(&failed), "{failed} of 400 calls failed");
    let (failed, _) = work_in_parallel(&client, &broken).await;
    assert!(failed <= 1, "{failed} of 400 calls failed");

    broken.is_broken.store(false, Ordering::SeqCst);
    // After its pause it gets one call at a time, until three have succeeded.
    with_timeout(async { while work_in_parallel(&client, &broken).await.1 < 100 {} }).await;
    for worker in [good, broken] {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_whose_responses_cannot_be_read_gets_few_calls() {
    let folder = socket_folder();
    let (good, broken) = (
        ServiceInstance::start(&folder, "good", 64).await,
        ServiceInstance::start(&folder, "broken", 64).await,
    );
    broken.is_broken.store(true, Ordering::SeqCst);
    let client = Client::connect(&ServiceAddress::new(&good.address, SECRET).and(&broken.address)).unwrap();
    call_until_served_by(&client, &good).await;
    call_until_served_by(&client, &broken).await;
    let reader = ReaderClient::new(client);
    let mut failed = 0;
    for _ in 0..300 {
        match with_timeout(reader.read().into_future()).await {
            Ok(response) => assert_eq!(response, 7),
            Err(CallError::BadReply(_)) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // It is an outlier after 20 of its responses.
    assert!((1..=40).contains(&failed), "{failed} of 300 calls failed");
    for worker in [good, broken] {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_of_the_only_worker_fail_no_call() {
    let folder = socket_folder();
    let mut worker = ServiceInstance::start(&folder, "only", 64).await;
    let client = Client::connect(&ServiceAddress::new(&worker.address, SECRET)).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (client, is_over) = (client.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !is_over.load(Ordering::SeqCst) {
                    call_ok(client.request("/where").timeout(Duration::from_secs(5))).await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for _ in 0..4 {
        call_until_served_by(&client, &worker).await;
        worker.stop().await;
        worker = ServiceInstance::start(&folder, "only", 64).await;
    }
    call_until_served_by(&client, &worker).await;
    is_over.store(true, Ordering::SeqCst);
    for caller in callers {
        assert!(with_timeout(caller).await.unwrap() > 0);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_address_and_too_many_workers_are_errors() {
    let folder = socket_folder();
    let client = Client::connect(&ServiceAddress::new(socket_address(&folder, "none"), SECRET)).unwrap();
    for (address, remedy) in [("slow", "tcp:// or ipc://"), ("tcp://*:1", "write one host")] {
        let error = format!("{:?}", client.add_worker(address).unwrap_err());
        assert!(error.contains(address) && error.contains(remedy), "{error}");
    }
    for n in 1..256 {
        client
            .add_worker(&socket_address(&folder, &format!("none{n}")))
            .unwrap();
    }
    let error = client
        .add_worker(&socket_address(&folder, "one too many"))
        .unwrap_err();
    assert!(error.to_string().contains("at most 256"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_service_fails_calls_immediately_after_the_first() {
    let folder = socket_folder();
    let client = Client::connect(&ServiceAddress::new(socket_address(&folder, "none"), SECRET)).unwrap();
    // The first call waits a second for the service.
    let error = with_timeout(client.request("/where").into_future())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CallError::NoWorkers(reason) if reason.contains("none") && reason.contains("is running") && reason.contains("os error 2")),
        "{error:?}"
    );
    let began = Instant::now();
    for _ in 0..100 {
        let error = with_timeout(client.request("/where").into_future())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, CallError::NoWorkers(reason) if reason.contains("none") && reason.contains("is running") && reason.contains("os error 2")),
            "{error:?}"
        );
    }
    let took = began.elapsed();
    println!(
        "unavailable service: calls failed after {:?} on average",
        took / 100
    );
    // If each call waited for the service again, this would take 100 seconds.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_limit_stops_a_call_loop() {
    let folder = socket_folder();
    let a = ServiceInstance::start(&folder, "a", 64).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    let response = with_timeout(client.request("/again").into_future())
        .await
        .unwrap();
    assert_eq!(response.status.code(), 502);
    // The call of the test, and 16 hops.
    assert_eq!(a.runs.load(Ordering::SeqCst), 17);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_info_and_stats_describe_the_service() {
    let folder = socket_folder();
    let a = ServiceInstance::start(&folder, "a", 4).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    assert_eq!(call_ok(client.request("/.brubeck/ping")).await["pong"], true);

    let info = call_ok(client.request("/.brubeck/info")).await;
    let operations = info["operations"].as_array().unwrap();
    assert_eq!(operations.len(), SERVICE_ROUTES.len());
    let user = operations
        .iter()
        .find(|operation| operation["name"] == "user")
        .unwrap();
    assert_eq!(
        *user,
        serde_json::json!({
            "name": "user", "method": "get", "path": "^/user/(?<id>[0-9]+)$", "captures": ["id"],
            "example": "/user/1", "blocking": true, "concurrency": 2,
            "arguments": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"id": {"type": "integer", "format": "uint64", "minimum": 0}},
                "required": ["id"]
            },
            "answer": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "uint64", "type": "integer", "format": "uint64", "minimum": 0
            }
        })
    );

    for _ in 0..3 {
        call_ok(client.request("/where")).await;
    }
    let missing = with_timeout(client.request("/none").into_future()).await.unwrap();
    assert_eq!(missing.status.code(), 404);
    let cancelled = tokio::spawn(client.request("/slow").into_future());
    a.gate.wait_for_arrivals(1).await;
    let stats = call_ok(client.request("/.brubeck/stats")).await;
    let counts = |stats: &serde_json::Value| {
        ["requests", "errors", "cancelled", "in_flight"].map(|name| stats[name].as_u64().unwrap())
    };
    assert_eq!(counts(&stats), [5, 1, 0, 1], "{stats}");
    assert!(stats["p99_us"].as_u64() >= stats["p50_us"].as_u64(), "{stats}");
    let of = |stats: &serde_json::Value, name: &str| {
        let operations = stats["operations"].as_array().unwrap();
        counts(
            operations
                .iter()
                .find(|operation| operation["name"] == name)
                .unwrap(),
        )
    };
    assert_eq!(of(&stats, "whereabouts"), [3, 0, 0, 0], "{stats}");
    assert_eq!(of(&stats, "slow"), [1, 0, 0, 1], "{stats}");
    assert_eq!(of(&stats, "nap"), [0, 0, 0, 0], "{stats}");
    cancelled.abort();
    a.gate.wait_for_exits(1).await;
    let stats = call_ok(client.request("/.brubeck/stats").method(Method::Get)).await;
    assert_eq!(counts(&stats), [5, 1, 1, 0], "{stats}");

    for (call, code) in [
        (client.request("/.brubeck/secrets"), 404),
        (client.request("/.brubeck/stats").method(Method::Delete), 405),
    ] {
        assert_eq!(
            with_timeout(call.into_future()).await.unwrap().status.code(),
            code
        );
    }
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handle_drain_refuses_new_calls_and_finishes_running_ones() {
    // `until_signal` handles SIGINT and SIGTERM of the whole process.
    if !child::isolated(handle_drain_refuses_new_calls_and_finishes_running_ones).await {
        return;
    }
    let folder = socket_folder();
    let a = ServiceInstance::start(&folder, "a", 4).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    let call = tokio::spawn(client.request("/slow").into_future());
    a.gate.wait_for_arrivals(1).await;
    let handle = a.running.handle();
    let served = tokio::spawn(a.running.until_signal());
    handle.drain();
    // The worker refuses new calls, which wait for its successor, and running ones finish.
    let new_call = || client.request("/where").timeout(Duration::from_millis(300));
    let refused = async {
        loop {
            if let Err(error) = new_call().await {
                return error;
            }
        }
    };
    let error = with_timeout(refused).await;
    assert!(
        matches!(
            error,
            CallError::Deadline {
                phase: Phase::Waiting,
                ..
            }
        ),
        "{error:?}"
    );
    a.gate.open(1);
    assert_eq!(with_timeout(call).await.unwrap().unwrap().status.code(), 200);
    with_timeout(served).await.unwrap().unwrap();
}

// ---- retries ------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_calls_are_retried_within_the_retry_budget() {
    const CALLS: usize = 500;
    let folder = socket_folder();
    let mut workers = vec![
        ServiceInstance::start(&folder, "a", CALLS).await,
        ServiceInstance::start(&folder, "b", CALLS).await,
    ];
    let client =
        Client::connect(&ServiceAddress::new(&workers[0].address, SECRET).and(&workers[1].address)).unwrap();
    let mut before = call_until_served_by(&client, &workers[0]).await;
    before += call_until_served_by(&client, &workers[1]).await;
    let began = Instant::now();
    let ended = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let call = client
                .request("/dies")
                .idempotent()
                .timeout(Duration::from_secs(60));
            let ended = ended.clone();
            tokio::spawn(async move {
                let outcome = call.await;
                ended.fetch_add(1, Ordering::SeqCst);
                outcome
            })
        })
        .collect();
    let (mut retried, mut probes) = (0, 0);
    for name in ["a", "b", "a"] {
        // `running` equals `open` once each call that has not ended runs on one of the workers.
        let open = || CALLS - ended.load(Ordering::SeqCst);
        let running = |workers: &[ServiceInstance]| -> usize {
            workers
                .iter()
                .map(|worker| worker.runs.load(Ordering::SeqCst))
                .sum()
        };
        with_timeout(async {
            while running(&workers) != open() {
                // The probe may be lost with the worker, too.
                probes += 1;
                let _ = client.request("/where").await;
            }
        })
        .await;
        // Drop the first worker, and with it the calls that it runs.
        let (others, left) = (workers[1].runs.load(Ordering::SeqCst), open());
        drop(workers.remove(0));
        with_timeout(async {
            while running(&workers) != open() {
                // The probe may be lost with the worker, too.
                probes += 1;
                let _ = client.request("/where").await;
            }
        })
        .await;
        retried += workers[0].runs.load(Ordering::SeqCst) - others;
        assert!(open() <= left);
        workers.push(ServiceInstance::start(&folder, name, CALLS).await);
        probes += call_until_served_by(&client, &workers[1]).await;
    }
    // The retry budget: 100 at first, one for each ten calls, and ten for each second.
    let allowed = 100 + (before + CALLS + probes) / 10 + 10 * (began.elapsed().as_secs() as usize + 1);
    println!(
        "{CALLS} calls, {retried} retries, {allowed} allowed in {:?}",
        began.elapsed()
    );
    assert!((100..=allowed).contains(&retried), "{retried} of {allowed}");
    drop(workers);
    for call in calls {
        let error = with_timeout(call).await.unwrap().unwrap_err();
        // A dropped worker may still send errors for its dropped handlers.
        let lost = CallError::lost(true);
        assert!(
            error == lost || matches!(error, CallError::BadReply(_)),
            "{error}"
        );
    }
}

// ---- overload -----------------------------------------------------------------------------------

/// Outcomes of calls: the times of those that succeeded or were refused, and the number of those that timed out.
#[derive(Default)]
struct Load {
    succeeded: Vec<Duration>,
    refused: Vec<Duration>,
    timed_out: usize,
}

impl Load {
    fn add(&mut self, took: Duration, outcome: Result<ServiceResponse, CallError>) {
        match outcome {
            Ok(response) => {
                assert_eq!(response.status.code(), 200);
                self.succeeded.push(took);
            }
            Err(CallError::Busy { .. }) => self.refused.push(took),
            Err(CallError::Deadline { .. }) => self.timed_out += 1,
            Err(error) => panic!("{error}"),
        }
    }

    fn p99(times: &mut [Duration]) -> Duration {
        times.sort();
        times.get(times.len() * 99 / 100).copied().unwrap_or_default()
    }
}

const NAP_MILLIS: u64 = 20;
const CONCURRENCY: usize = 4;
const CALL_TIMEOUT: Duration = Duration::from_millis(250);

fn nap_call(client: &Client) -> Call {
    client
        .request("/nap")
        .argument("millis", NAP_MILLIS)
        .timeout(CALL_TIMEOUT)
}

/// Keeps as many calls in flight as the concurrency limit of the service allows: its peak load.
async fn run_peak_load(client: &Client, seconds: u64) -> Load {
    let end = Instant::now() + Duration::from_secs(seconds);
    let callers: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut load = Load::default();
                while Instant::now() < end {
                    let began = Instant::now();
                    let outcome = nap_call(&client).await;
                    load.add(began.elapsed(), outcome);
                }
                load
            })
        })
        .collect();
    let mut all = Load::default();
    for caller in callers {
        let load = with_timeout(caller).await.unwrap();
        all.succeeded.extend(load.succeeded);
        all.refused.extend(load.refused);
        all.timed_out += load.timed_out;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_is_shed_early_with_stable_latency() {
    let folder = socket_folder();
    let a = ServiceInstance::start(&folder, "a", CONCURRENCY).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    call_ok(client.request("/where")).await;
    let seconds = 2;
    let mut peak = run_peak_load(&client, seconds).await;
    let rate = peak.succeeded.len() as u64 / seconds;
    assert!(rate > 0 && peak.refused.is_empty());

    // Offers ten times the peak rate, independently of the responses.
    let offered = rate * 10 * seconds;
    let every = Duration::from_secs(seconds) / offered as u32;
    let (outcome_sender, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    let began = Instant::now();
    let mut ticks = tokio::time::interval(every);
    for _ in 0..offered {
        ticks.tick().await;
        let (client, outcome_sender) = (client.clone(), outcome_sender.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            let outcome = nap_call(&client).await;
            outcome_sender
                .send((began, began.elapsed(), outcome))
                .expect("a receiver");
        });
    }
    drop(outcome_sender);
    let took = began.elapsed();
    // The calls that were queued before the client detected the overload have ended after two timeouts.
    let steady_from = began + 2 * CALL_TIMEOUT;
    let (mut load, mut steady) = (Load::default(), Load::default());
    while let Some((began, took, outcome)) = with_timeout(outcomes.recv()).await {
        if began > steady_from {
            steady.add(took, outcome.clone());
        }
        load.add(took, outcome);
    }
    let (unloaded, overloaded) = (Load::p99(&mut peak.succeeded), Load::p99(&mut steady.succeeded));
    println!(
        "peak {rate}/s, p99 {:?}; offered {:.0}/s: goodput {:.0}/s, p99 {:?} (timeout {CALL_TIMEOUT:?}), \
         p99 in steady state {overloaded:?}, {} succeeded, {} refused with p99 {:?}, {} timed out",
        unloaded,
        offered as f64 / took.as_secs_f64(),
        load.succeeded.len() as f64 / took.as_secs_f64(),
        Load::p99(&mut load.succeeded),
        load.succeeded.len(),
        load.refused.len(),
        Load::p99(&mut load.refused),
        load.timed_out,
    );
    // Every call has ended, and more calls were refused than timed out.
    assert_eq!(
        load.succeeded.len() + load.refused.len() + load.timed_out,
        offered as usize
    );
    assert!(!load.succeeded.is_empty());
    assert!(load.refused.len() > load.timed_out);
    // An accepted call waits for at most one other call per slot. The factor allows for a busy machine.
    assert!(!steady.succeeded.is_empty());
    assert!(
        overloaded < 3 * unloaded.max(Duration::from_millis(NAP_MILLIS)),
        "p99 {overloaded:?} under overload, {unloaded:?} at peak"
    );
    // The service has recovered.
    call_ok(client.request("/where")).await;
    a.stop().await;
}

#[tokio::test]
async fn workers_are_added_and_removed_outside_the_runtime() {
    let client = Client::connect(&ServiceAddress::new("tcp://127.0.0.1:9", SECRET)).unwrap();
    let thread = std::thread::spawn(move || {
        let added = ["tcp://127.0.0.1:10", "tcp://name.invalid:10"];
        for address in added {
            client.add_worker(address).unwrap();
        }
        assert_eq!(client.workers().len(), 3);
        for address in added {
            assert!(client.remove_worker(address).unwrap(), "{address}");
        }
        client.workers()
    });
    let left = tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
    assert_eq!(left.expect("no panic"), ["tcp://127.0.0.1:9"]);
}
