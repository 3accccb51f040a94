//! Worker processes: killed, frozen and restarted under load, retries after a lost connection, and traces.
//!
//! `BRUBECK_CHAOS` sets the seconds for which workers are killed and frozen (default 5), `BRUBECK_ROLLING` the number
//! of rolling restarts (default 20).

mod worker;

use crate::support::served_app::socket_folder;
use crate::support::{ServedApp, env_number, with_timeout};
use brubeck::ServiceAddress;
use brubeck::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use worker::WorkerProcess;

const SECRET: &str = "my_shared_secret";

/// Counts calls by outcome.
#[derive(Default)]
struct Outcomes {
    counts: Mutex<BTreeMap<String, u64>>,
    next_id: AtomicU64,
    /// The maximum time from the deadline of a call to its end, in microseconds.
    max_delay: AtomicU64,
}

impl Outcomes {
    /// Makes a call and counts its outcome. Returns `true` if it succeeded.
    async fn call(&self, client: &Client, millis: u64, timeout: Duration) -> bool {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let call = client
            .request("/work")
            .argument("id", id)
            .argument("millis", millis)
            .timeout(timeout);
        let began = Instant::now();
        let outcome = tokio::time::timeout(timeout + Duration::from_secs(10), call.into_future()).await;
        let delay = began.elapsed().saturating_sub(timeout);
        self.max_delay
            .fetch_max(delay.as_micros() as u64, Ordering::Relaxed);
        let name = match &outcome {
            Ok(Ok(response)) if response.status.code() == 200 => {
                assert_eq!(response.body, id, "the response to another call");
                "ok".to_owned()
            }
            Ok(Ok(response)) => format!("status {}", response.status.code()),
            Ok(Err(CallError::Busy { .. })) => "Busy".to_owned(),
            Ok(Err(error)) => format!("{error:?}"),
            Err(_) => "hung".to_owned(),
        };
        let is_ok = name == "ok";
        *self.counts.lock().unwrap().entry(name).or_default() += 1;
        is_ok
    }

    fn count(&self, outcome: &str) -> u64 {
        self.counts.lock().unwrap().get(outcome).copied().unwrap_or(0)
    }
}

/// Measures the maximum delay of timers until `stop` is set. The load on this machine may delay a call as much.
async fn measure_timer_delay(stop: Arc<AtomicBool>) -> Duration {
    let mut max = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + Duration::from_millis(5);
        tokio::time::sleep_until(due.into()).await;
        max = max.max(due.elapsed());
    }
    max
}

/// A pseudo-random generator. The number is its state.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_once_and_by_its_deadline_if_workers_are_killed_or_frozen() {
    let seconds = env_number("BRUBECK_CHAOS", 5);
    let folder = socket_folder();
    let mut workers = Vec::new();
    for name in ["a", "b", "c", "d"] {
        workers.push(WorkerProcess::start(folder.path(), name).await);
    }
    let first = ServiceAddress::new(&workers[0].address, SECRET);
    let all = workers[1..]
        .iter()
        .fold(first, |all, worker| all.and(&worker.address));
    let client = Client::connect(&all).unwrap();

    let (outcomes, stop) = (Arc::new(Outcomes::default()), Arc::new(AtomicBool::new(false)));
    let timer_delay = tokio::spawn(measure_timer_delay(stop.clone()));
    let callers: Vec<_> = (0..256_u64)
        .map(|caller| {
            let (client, outcomes, stop) = (client.clone(), outcomes.clone(), stop.clone());
            // Half of the timeouts are shorter than the time in which a frozen worker is detected, half are longer.
            let timeout = Duration::from_millis(if caller % 2 == 0 { 1000 } else { 5000 });
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if !outcomes.call(&client, 200, timeout).await {
                        // Backs off after a failure.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        })
        .collect();

    let mut random = Random(seconds);
    let (mut killed, mut frozen, mut resumed) = (0, 0, 0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    while Instant::now() < end {
        tick.tick().await;
        let frozen_workers = workers.iter().filter(|worker| worker.frozen).count();
        let worker = &mut workers[random.below(4) as usize];
        if worker.frozen && random.below(2) == 0 {
            // The worker continues with the calls that it had.
            worker.signal("CONT").await;
            worker.frozen = false;
            resumed += 1;
        } else if worker.frozen || frozen_workers == 2 || random.below(2) == 0 {
            worker.kill().await;
            worker.restart().await;
            killed += 1;
        } else {
            worker.signal("STOP").await;
            worker.frozen = true;
            frozen += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        tokio::time::timeout(Duration::from_secs(60), caller)
            .await
            .expect("an ended caller")
            .unwrap();
    }
    let (timer_delay, max_delay) = (
        timer_delay.await.unwrap(),
        Duration::from_micros(outcomes.max_delay.load(Ordering::Relaxed)),
    );
    let (mut started, mut duplicates) = (HashSet::new(), 0);
    for worker in &mut workers {
        worker.kill().await;
        duplicates += worker
            .started_calls()
            .into_iter()
            .filter(|id| !started.insert(*id))
            .count();
    }
    println!(
        "{seconds} s, {killed} killed, {frozen} frozen, {resumed} resumed; {} started, {duplicates} started twice, {} hung; max delay \
         after a deadline {max_delay:?}, max delay of a timer {timer_delay:?}",
        started.len(),
        outcomes.count("hung")
    );
    for (outcome, count) in outcomes.counts.lock().unwrap().iter() {
        println!("{count:>8}  {outcome}");
    }
    assert!(outcomes.count("ok") > 0 && killed > 0 && frozen > 0);
    assert_eq!((outcomes.count("hung"), duplicates), (0, 0));
    // The timer delay applies when a call begins and when it ends.
    assert!(max_delay <= Duration::from_millis(50) + 2 * timer_delay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_fail_no_call() {
    let restarts = env_number("BRUBECK_ROLLING", 20);
    let folder = socket_folder();
    let mut workers = Vec::new();
    for name in ["a", "b", "c"] {
        workers.push(WorkerProcess::start(folder.path(), name).await);
    }
    let first = ServiceAddress::new(&workers[0].address, SECRET);
    let all = workers[1..]
        .iter()
        .fold(first, |all, worker| all.and(&worker.address));
    let client = Client::connect(&all).unwrap();
    let (outcomes, stop) = (Arc::new(Outcomes::default()), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (client, outcomes, stop) = (client.clone(), outcomes.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    outcomes.call(&client, 20, Duration::from_secs(10)).await;
                }
            })
        })
        .collect();
    let began = Instant::now();
    for restart in 0..restarts {
        let worker = &mut workers[(restart % 3) as usize];
        worker.signal("TERM").await;
        worker.wait_for_exit().await;
        worker.restart().await;
        // Waits until this worker has started a call before the next worker is stopped.
        let before = worker.started_calls().len();
        let has_started = async {
            while worker.started_calls().len() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        with_timeout(has_started).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        with_timeout(caller).await.unwrap();
    }
    let counts = outcomes.counts.lock().unwrap().clone();
    println!("{restarts} restarts in {:?}: {counts:?}", began.elapsed());
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["ok"]);
    let (mut started, mut duplicates) = (HashSet::new(), 0);
    for worker in &workers {
        duplicates += worker
            .started_calls()
            .into_iter()
            .filter(|id| !started.insert(*id))
            .count();
    }
    assert_eq!((started.len() as u64, duplicates), (counts["ok"], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_idempotent_calls_are_retried_after_connection_loss() {
    let folder = socket_folder();
    let mut first = WorkerProcess::start(folder.path(), "a").await;
    let client = Client::connect(&ServiceAddress::new(&first.address, SECRET)).unwrap();
    let work = |id: u64| client.request("/work").argument("id", id).argument("millis", 500);
    let idempotent = tokio::spawn(work(1).idempotent().into_future());
    let other = tokio::spawn(work(2).into_future());
    let both_started = async {
        while first.started_calls().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    with_timeout(both_started).await;
    let second = WorkerProcess::start(folder.path(), "b").await;
    client.add_worker(&second.address).unwrap();
    first.kill().await;
    assert_eq!(with_timeout(idempotent).await.unwrap().unwrap().body, 1);
    assert_eq!(
        with_timeout(other).await.unwrap().unwrap_err(),
        CallError::lost(true)
    );
    assert_eq!(second.started_calls(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idempotent_call_that_ends_its_worker_is_sent_to_two_workers() {
    let folder = socket_folder();
    let mut workers = Vec::new();
    for name in ["a", "b", "c", "d"] {
        workers.push(WorkerProcess::start(folder.path(), name).await);
    }
    let first = ServiceAddress::new(&workers[0].address, SECRET);
    let all = workers[1..]
        .iter()
        .fold(first, |all, worker| all.and(&worker.address));
    let client = Client::connect(&all).unwrap();
    let call = client
        .request("/work")
        .argument("id", 1)
        .argument("millis", 60_000);
    let call = tokio::spawn(call.idempotent().timeout(Duration::from_secs(60)).into_future());
    let mut killed = 0;
    while !call.is_finished() {
        for worker in &mut workers {
            if worker.started_calls().len() == 1 && worker.is_running() {
                worker.kill().await;
                killed += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(call.await.unwrap().unwrap_err(), CallError::lost(true));
    assert_eq!(killed, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_worker_is_given_up_after_three_heartbeats() {
    let folder = socket_folder();
    let worker = WorkerProcess::start(folder.path(), "a").await;
    let client = Client::connect(&ServiceAddress::new(&worker.address, SECRET)).unwrap();
    let work = |id: u64, millis: u64| {
        client
            .request("/work")
            .argument("id", id)
            .argument("millis", millis)
    };
    work(1, 0).await.unwrap();
    let running = tokio::spawn(work(2, 30_000).timeout(Duration::from_secs(60)).into_future());
    let started = async {
        while worker.started_calls().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    with_timeout(started).await;
    worker.signal("STOP").await;
    let frozen_at = Instant::now();
    assert_eq!(
        with_timeout(running).await.unwrap().unwrap_err(),
        CallError::lost(true)
    );
    let took = frozen_at.elapsed();
    // The last heartbeat came at most one interval before.
    let expected = Duration::from_millis(1900)..Duration::from_millis(4500);
    assert!(expected.contains(&took), "given up after {took:?}");
}

// ---- traces -------------------------------------------------------------------------------------

#[derive(Clone, AppState)]
struct WebState {
    address: Address,
}

#[derive(Clone)]
struct Address(String);

#[get("^/$")]
async fn index(services: Services, address: State<Address>) -> Result<String, CallError> {
    let service = services.register(&address.0.0, SECRET)?;
    let (first, second) = (service.request("/trace").await?, service.request("/trace").await?);
    Ok(format!("{} {}", first.body, second.body))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_context_propagates_to_other_processes() {
    let folder = socket_folder();
    let worker = WorkerProcess::start(folder.path(), "a").await;
    let address = Address(worker.address.clone());
    let site = ServedApp::http(App::new(routes![index], WebState { address })).await;
    let mut browser = site.browser().await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    browser
        .send(format!(
            "GET / HTTP/1.1\r\nHost: x\r\ntraceparent: 00-{trace}-{span}-01\r\n\r\n"
        ))
        .await;
    let text = browser.read_response().await.text().to_owned();
    assert_eq!(text.matches(&format!("\"00-{trace}-")).count(), 2, "{text}");
    assert_eq!(text.matches(&format!(",{}]", worker.id())).count(), 2, "{text}");
    // No call has the span of the request.
    assert!(!text.contains(span), "{text}");

    // Without `traceparent`, all calls of a request share a new trace.
    let text = site.browser().await.get("/").await.text().to_owned();
    let mut traces = text.split("[\"00-").skip(1).map(|rest| &rest[..32]);
    let (first, second) = (traces.next().unwrap(), traces.next().unwrap());
    assert_eq!(first, second);
    assert_ne!(first, trace);
    site.stop().await;
}
