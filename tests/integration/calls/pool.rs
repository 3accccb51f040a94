//! Services in several places: who gets which call, what is said when nobody has room, and what a service says of itself.

use crate::support::site::{socket, sockets};
use crate::support::{Gate, child, within};
use brubeck::prelude::*;
use brubeck::{Running, ServiceAddress};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECRET: &str = "my_shared_secret";

#[derive(Clone, AppState)]
struct Works {
    place: Place,
    gate: Gate,
    runs: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Place(String);

#[service_handler(path = "^/where", method = "request")]
async fn whereabouts(place: State<Place>) -> Json<String> {
    Json(place.0.0)
}

#[service_handler(path = "^/slow", method = "request", concurrency = 8)]
async fn slow(gate: State<Gate>, place: State<Place>) -> Json<String> {
    gate.pass().await;
    Json(place.0.0)
}

#[service_handler(path = "^/nap", method = "request")]
async fn nap(millis: Arg<u64>) -> Json<u64> {
    tokio::time::sleep(Duration::from_millis(millis.0)).await;
    Json(millis.0)
}

/// Never answers, so that it is lost with its process.
#[service_handler(path = "^/dies", method = "request")]
async fn dies(runs: State<Arc<AtomicUsize>>) -> Json<u64> {
    runs.0.fetch_add(1, Ordering::SeqCst);
    Json(std::future::pending().await)
}

/// Calls itself, for as long as it may.
#[service_handler(path = "^/again", method = "request")]
async fn again(
    services: Services,
    place: State<Place>,
    runs: State<Arc<AtomicUsize>>,
) -> Result<Json<u64>, CallError> {
    runs.0.fetch_add(1, Ordering::SeqCst);
    let answer = services.register(&place.0.0, SECRET)?.request("/again").await?;
    let status = answer.status;
    assert!(!status.is_success());
    Err(CallError::Refused(status.to_string().into()))
}

#[service_handler(path = "^/user/(?<id>[0-9]+)$", method = "get", blocking, concurrency = 2)]
fn user(id: u64) -> Json<u64> {
    Json(id)
}

const WORKS: Routes<Works> = routes![whereabouts, slow, nap, dies, again, user];

struct Process {
    running: Running,
    address: String,
    gate: Gate,
    runs: Arc<AtomicUsize>,
}

impl Process {
    async fn start(folder: &TempDir, name: &str, concurrency: usize) -> Process {
        let address = socket(folder, name);
        let works = Works {
            place: Place(address.clone()),
            gate: Gate::new(),
            runs: Arc::default(),
        };
        let (gate, runs) = (works.gate.clone(), works.runs.clone());
        let bound = Service::bind(&address, SECRET).concurrency(concurrency);
        Process {
            running: within(App::new(WORKS, works).start(bound)).await.unwrap(),
            address,
            gate,
            runs,
        }
    }

    async fn stop(self) {
        within(self.running.stop()).await.unwrap();
    }
}

async fn answered(call: Call) -> serde_json::Value {
    let answer = within(call.into_future()).await.unwrap();
    assert_eq!(answer.status.code(), 200, "{answer:?}");
    answer.body
}

/// Asks until this process answers.
/// Calls until this process answers; gives how many calls that took.
async fn until(client: &Client, process: &Process) -> usize {
    let mut calls = 1;
    within(async {
        while answered(client.request("/where")).await != process.address {
            calls += 1;
        }
    })
    .await;
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_balanced_and_workers_are_added_and_removed() {
    let folder = sockets();
    let (a, b, c) = (
        Process::start(&folder, "a", 4).await,
        Process::start(&folder, "b", 4).await,
        Process::start(&folder, "c", 4).await,
    );
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET).and(&b.address)).unwrap();
    until(&client, &a).await;
    until(&client, &b).await;
    let slow = |_| tokio::spawn(client.request("/slow").into_future());
    // Two each, however they are dealt.
    let calls: Vec<_> = (0..4).map(slow).collect();
    a.gate.arrived(2).await;
    b.gate.arrived(2).await;

    client.add_worker(&c.address).unwrap();
    client.add_worker(&c.address).unwrap();
    assert_eq!(client.workers().len(), 3);
    until(&client, &c).await;
    let last = slow(4);
    c.gate.arrived(1).await;

    // One that is removed finishes what it has, and gets nothing more.
    assert!(client.remove_worker(&c.address).unwrap());
    assert!(!client.remove_worker(&c.address).unwrap());
    for _ in 0..50 {
        assert_ne!(answered(client.request("/where")).await, c.address);
    }
    c.gate.open(1);
    assert_eq!(within(last).await.unwrap().unwrap().body, c.address);
    a.gate.open(2);
    b.gate.open(2);
    for call in calls {
        assert_eq!(within(call).await.unwrap().unwrap().status.code(), 200);
    }
    for process in [a, b, c] {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_address_and_too_many_workers_are_errors() {
    let folder = sockets();
    let client = Client::connect(&ServiceAddress::new(socket(&folder, "none"), SECRET)).unwrap();
    for (address, remedy) in [("slow", "tcp:// or ipc://"), ("tcp://*:1", "write one host")] {
        let error = format!("{:?}", client.add_worker(address).unwrap_err());
        assert!(error.contains(address) && error.contains(remedy), "{error}");
    }
    for n in 1..256 {
        client.add_worker(&socket(&folder, &format!("none{n}"))).unwrap();
    }
    let error = client.add_worker(&socket(&folder, "one too many")).unwrap_err();
    assert!(error.to_string().contains("at most 256"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_service_fails_calls_immediately() {
    let folder = sockets();
    let client = Client::connect(&ServiceAddress::new(socket(&folder, "none"), SECRET)).unwrap();
    // The first call gives the service a second to be there.
    let error = within(client.request("/where").into_future()).await.unwrap_err();
    assert_eq!(error, CallError::NoWorkers);
    let began = Instant::now();
    for _ in 0..100 {
        let error = within(client.request("/where").into_future()).await.unwrap_err();
        assert_eq!(error, CallError::NoWorkers);
    }
    println!("nobody is there: said in {:?}", began.elapsed() / 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_limit_stops_a_call_loop() {
    let folder = sockets();
    let a = Process::start(&folder, "a", 64).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    let answer = within(client.request("/again").into_future()).await.unwrap();
    assert_eq!(answer.status.code(), 502);
    // The call of the test and 16 that follow from it.
    assert_eq!(a.runs.load(Ordering::SeqCst), 17);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_info_and_stats_describe_the_service() {
    let folder = sockets();
    let a = Process::start(&folder, "a", 4).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    assert_eq!(answered(client.request("/.brubeck/ping")).await["pong"], true);

    let info = answered(client.request("/.brubeck/info")).await;
    let operations = info["operations"].as_array().unwrap();
    assert_eq!(operations.len(), WORKS.len());
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
        answered(client.request("/where")).await;
    }
    let missing = within(client.request("/none").into_future()).await.unwrap();
    assert_eq!(missing.status.code(), 404);
    let given_up = tokio::spawn(client.request("/slow").into_future());
    a.gate.arrived(1).await;
    let stats = answered(client.request("/.brubeck/stats")).await;
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
    given_up.abort();
    a.gate.left(1).await;
    let stats = answered(client.request("/.brubeck/stats").method(Method::Get)).await;
    assert_eq!(counts(&stats), [5, 1, 1, 0], "{stats}");

    for (call, code) in [
        (client.request("/.brubeck/secrets"), 404),
        (client.request("/.brubeck/stats").method(Method::Delete), 405),
    ] {
        assert_eq!(within(call.into_future()).await.unwrap().status.code(), code);
    }
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handle_drain_refuses_new_calls_and_finishes_running_ones() {
    // `until_signal` takes SIGINT and SIGTERM from the whole process.
    if !child::isolated(handle_drain_refuses_new_calls_and_finishes_running_ones).await {
        return;
    }
    let folder = sockets();
    let a = Process::start(&folder, "a", 4).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    let call = tokio::spawn(client.request("/slow").into_future());
    a.gate.arrived(1).await;
    let handle = a.running.handle();
    let served = tokio::spawn(a.running.until_signal());
    handle.drain();
    // What comes now is refused, and what was taken is answered.
    let refused = async { while client.request("/where").await.is_ok() {} };
    within(refused).await;
    a.gate.open(1);
    assert_eq!(within(call).await.unwrap().unwrap().status.code(), 200);
    within(served).await.unwrap().unwrap();
}

// ---- retries ------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_calls_are_retried_within_the_retry_budget() {
    const CALLS: usize = 500;
    let folder = sockets();
    let mut processes = vec![
        Process::start(&folder, "a", CALLS).await,
        Process::start(&folder, "b", CALLS).await,
    ];
    let client =
        Client::connect(&ServiceAddress::new(&processes[0].address, SECRET).and(&processes[1].address))
            .unwrap();
    let mut before = until(&client, &processes[0]).await;
    before += until(&client, &processes[1]).await;
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
        // Each call that has not ended runs somewhere.
        let open = || CALLS - ended.load(Ordering::SeqCst);
        let running = |processes: &[Process]| -> usize {
            processes
                .iter()
                .map(|process| process.runs.load(Ordering::SeqCst))
                .sum()
        };
        within(async {
            while running(&processes) != open() {
                // Its own answer may be lost with the process, too.
                probes += 1;
                let _ = client.request("/where").await;
            }
        })
        .await;
        // It dies, and what it ran is lost with it.
        let (others, left) = (processes[1].runs.load(Ordering::SeqCst), open());
        let dead = processes.remove(0);
        drop(dead);
        within(async {
            while running(&processes) != open() {
                // Its own answer may be lost with the process, too.
                probes += 1;
                let _ = client.request("/where").await;
            }
        })
        .await;
        retried += processes[0].runs.load(Ordering::SeqCst) - others;
        assert!(open() <= left);
        processes.push(Process::start(&folder, name, CALLS).await);
        probes += until(&client, &processes[1]).await;
    }
    let allowed = 100 + (before + CALLS + probes) / 10 + 10 * (began.elapsed().as_secs() as usize + 1);
    println!(
        "{CALLS} calls, {retried} retries, {allowed} allowed in {:?}",
        began.elapsed()
    );
    assert!((100..=allowed).contains(&retried), "{retried} of {allowed}");
    drop(processes);
    for call in calls {
        let error = within(call).await.unwrap().unwrap_err();
        // A process that is dropped in this one may still say that its handlers were.
        let lost = CallError::Lost { may_have_run: true };
        assert!(
            error == lost || matches!(error, CallError::BadReply(_)),
            "{error}"
        );
    }
}

// ---- overload -----------------------------------------------------------------------------------

/// What became of the calls of a load.
#[derive(Default)]
struct Load {
    answered: Vec<Duration>,
    refused: Vec<Duration>,
    late: usize,
}

impl Load {
    fn add(&mut self, took: Duration, outcome: Result<ServiceResponse, CallError>) {
        match outcome {
            Ok(answer) => {
                assert_eq!(answer.status.code(), 200);
                self.answered.push(took);
            }
            Err(CallError::Busy { .. }) => self.refused.push(took),
            Err(CallError::Deadline { .. }) => self.late += 1,
            Err(error) => panic!("{error}"),
        }
    }

    fn p99(times: &mut [Duration]) -> Duration {
        times.sort();
        times.get(times.len() * 99 / 100).copied().unwrap_or_default()
    }
}

const NAP: u64 = 20;
const SLOTS: usize = 4;
const WITHIN: Duration = Duration::from_millis(250);

fn nap_call(client: &Client) -> Call {
    client.request("/nap").argument("millis", NAP).timeout(WITHIN)
}

/// As many calls at a time as there are concurrency: all that the service can do.
async fn peak(client: &Client, seconds: u64) -> Load {
    let end = Instant::now() + Duration::from_secs(seconds);
    let callers: Vec<_> = (0..SLOTS)
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
        let load = within(caller).await.unwrap();
        all.answered.extend(load.answered);
        all.refused.extend(load.refused);
        all.late += load.late;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_is_shed_early_with_stable_latency() {
    let folder = sockets();
    let a = Process::start(&folder, "a", SLOTS).await;
    let client = Client::connect(&ServiceAddress::new(&a.address, SECRET)).unwrap();
    answered(client.request("/where")).await;
    let seconds = 2;
    let mut peak = peak(&client, seconds).await;
    let rate = peak.answered.len() as u64 / seconds;
    assert!(rate > 0 && peak.refused.is_empty());

    // Ten times as many come, whether or not those before were answered.
    let offered = rate * 10 * seconds;
    let every = Duration::from_secs(seconds) / offered as u32;
    let (calls, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let began = Instant::now();
    let mut ticks = tokio::time::interval(every);
    for _ in 0..offered {
        ticks.tick().await;
        let (client, calls) = (client.clone(), calls.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            let outcome = nap_call(&client).await;
            calls
                .send((began, began.elapsed(), outcome))
                .expect("the test waits");
        });
    }
    drop(calls);
    let took = began.elapsed();
    // The queue that was taken before anything had to be refused is over after two deadlines.
    let settled = began + 2 * WITHIN;
    let (mut load, mut steady) = (Load::default(), Load::default());
    while let Some((began, took, outcome)) = within(ended.recv()).await {
        if began > settled {
            steady.add(took, outcome.clone());
        }
        load.add(took, outcome);
    }
    let (unloaded, overloaded) = (Load::p99(&mut peak.answered), Load::p99(&mut steady.answered));
    println!(
        "peak {rate}/s, p99 {:?}; offered {:.0}/s: goodput {:.0}/s, p99 of the answered {:?} (deadline {WITHIN:?}), \
         once it lasts {overloaded:?}, {} answered, {} refused with p99 {:?}, {} at their deadline",
        unloaded,
        offered as f64 / took.as_secs_f64(),
        load.answered.len() as f64 / took.as_secs_f64(),
        Load::p99(&mut load.answered),
        load.answered.len(),
        load.refused.len(),
        Load::p99(&mut load.refused),
        load.late,
    );
    // Every call has ended, and most of what is too much was not taken.
    assert_eq!(
        load.answered.len() + load.refused.len() + load.late,
        offered as usize
    );
    assert!(!load.answered.is_empty());
    assert!(load.refused.len() > load.late);
    // What is taken finds at most as many calls before it as the service has concurrency; a busy machine may add to that.
    assert!(!steady.answered.is_empty());
    assert!(
        overloaded < 3 * unloaded.max(Duration::from_millis(NAP)),
        "{overloaded:?} and not {unloaded:?}"
    );
    // And the service is as well as before.
    answered(client.request("/where")).await;
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
