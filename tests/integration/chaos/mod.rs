//! Services whose processes are killed, frozen and restarted under load.
//!
//! `BRUBECK_CHAOS=60` is how many seconds processes are killed for, `BRUBECK_ROLLING=500` how many are restarted.

mod worker;

use crate::support::site::sockets;
use crate::support::{Site, setting, within};
use brubeck::ServiceAddress;
use brubeck::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use worker::Worker;

const SECRET: &str = "my_shared_secret";

/// How many calls ended in which way.
#[derive(Default)]
struct Outcomes {
    counts: Mutex<BTreeMap<String, u64>>,
    next: AtomicU64,
    /// Microseconds after its deadline that a call ended, at most.
    latest: AtomicU64,
}

impl Outcomes {
    /// Makes one call, and says whether it was answered.
    async fn call(&self, client: &Client, millis: u64, deadline: Duration) -> bool {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let call = client
            .request("/work")
            .argument("id", id)
            .argument("millis", millis)
            .timeout(deadline);
        let began = Instant::now();
        let outcome = tokio::time::timeout(deadline + Duration::from_secs(10), call.into_future()).await;
        let late = began.elapsed().saturating_sub(deadline);
        self.latest.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
        let said = match &outcome {
            Ok(Ok(answer)) if answer.status.code() == 200 => {
                assert_eq!(answer.body, id, "the answer of another call");
                "answered".to_owned()
            }
            Ok(Ok(answer)) => format!("status {}", answer.status.code()),
            Ok(Err(CallError::Busy { .. })) => "Busy".to_owned(),
            Ok(Err(error)) => format!("{error:?}"),
            Err(_) => "hung".to_owned(),
        };
        let answered = said == "answered";
        *self.counts.lock().unwrap().entry(said).or_default() += 1;
        answered
    }

    fn of(&self, outcome: &str) -> u64 {
        self.counts.lock().unwrap().get(outcome).copied().unwrap_or(0)
    }
}

/// Shows by how much the machine is late, whatever it is asked.
async fn canary(stop: Arc<AtomicBool>) -> Duration {
    let mut latest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + Duration::from_millis(5);
        tokio::time::sleep_until(due.into()).await;
        latest = latest.max(due.elapsed());
    }
    latest
}

/// The same sequence in each run; the machine adds its own.
struct Dice(u64);

impl Dice {
    fn below(&mut self, many: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % many
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_once_and_by_its_deadline_if_workers_are_killed_or_frozen() {
    let seconds = setting("BRUBECK_CHAOS", 5);
    let folder = sockets();
    let mut workers = Vec::new();
    for name in ["a", "b", "c", "d"] {
        workers.push(Worker::start(folder.path(), name).await);
    }
    let first = ServiceAddress::new(&workers[0].address, SECRET);
    let all = workers[1..]
        .iter()
        .fold(first, |all, worker| all.and(&worker.address));
    let client = Client::connect(&all).unwrap();

    let (outcomes, stop) = (Arc::new(Outcomes::default()), Arc::new(AtomicBool::new(false)));
    let canary = tokio::spawn(canary(stop.clone()));
    let callers: Vec<_> = (0..256_u64)
        .map(|caller| {
            let (client, outcomes, stop) = (client.clone(), outcomes.clone(), stop.clone());
            // Some wait until a frozen process is found out, others do not.
            let deadline = Duration::from_millis(if caller % 2 == 0 { 1000 } else { 5000 });
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if !outcomes.call(&client, 200, deadline).await {
                        // Whoever is refused does not ask again at once.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        })
        .collect();

    let mut dice = Dice(seconds);
    let (mut killed, mut frozen, mut thawed) = (0, 0, 0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    while Instant::now() < end {
        beat.tick().await;
        let still = workers.iter().filter(|worker| worker.frozen).count();
        let worker = &mut workers[dice.below(4) as usize];
        if worker.frozen && dice.below(2) == 0 {
            // It goes on where it was, with all that waits for it.
            worker.signal("CONT").await;
            worker.frozen = false;
            thawed += 1;
        } else if worker.frozen || still == 2 || dice.below(2) == 0 {
            worker.kill().await;
            worker.start_again().await;
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
            .expect("an end")
            .unwrap();
    }
    let (canary, latest) = (
        canary.await.unwrap(),
        Duration::from_micros(outcomes.latest.load(Ordering::Relaxed)),
    );
    let (mut begun, mut double) = (HashSet::new(), 0);
    for worker in &mut workers {
        worker.kill().await;
        double += worker.begun().into_iter().filter(|id| !begun.insert(*id)).count();
    }
    println!(
        "{seconds} s, {killed} killed, {frozen} frozen, {thawed} thawed; {} begun, {double} double, {} hung; latest {latest:?} after its \
         deadline, canary {canary:?}",
        begun.len(),
        outcomes.of("hung")
    );
    for (outcome, count) in outcomes.counts.lock().unwrap().iter() {
        println!("{count:>8}  {outcome}");
    }
    assert!(outcomes.of("answered") > 0 && killed > 0 && frozen > 0);
    assert_eq!((outcomes.of("hung"), double), (0, 0));
    // The machine may be late when a call begins, and again when it ends.
    assert!(latest <= Duration::from_millis(50) + 2 * canary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_fail_no_call() {
    let restarts = setting("BRUBECK_ROLLING", 20);
    let folder = sockets();
    let mut workers = Vec::new();
    for name in ["a", "b", "c"] {
        workers.push(Worker::start(folder.path(), name).await);
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
        worker.ended().await;
        worker.start_again().await;
        // The next one is stopped when this one is at work.
        let known = worker.begun().len();
        let at_work = async {
            while worker.begun().len() == known {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within(at_work).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        within(caller).await.unwrap();
    }
    let counts = outcomes.counts.lock().unwrap().clone();
    println!("{restarts} restarts in {:?}: {counts:?}", began.elapsed());
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["answered"]);
    let (mut begun, mut double) = (HashSet::new(), 0);
    for worker in &workers {
        double += worker.begun().into_iter().filter(|id| !begun.insert(*id)).count();
    }
    assert_eq!((begun.len() as u64, double), (counts["answered"], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_idempotent_calls_are_retried_after_connection_loss() {
    let folder = sockets();
    let mut first = Worker::start(folder.path(), "a").await;
    let client = Client::connect(&ServiceAddress::new(&first.address, SECRET)).unwrap();
    let work = |id: u64| client.request("/work").argument("id", id).argument("millis", 500);
    let harmless = tokio::spawn(work(1).idempotent().into_future());
    let other = tokio::spawn(work(2).into_future());
    let begun = async {
        while first.begun().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(begun).await;
    let second = Worker::start(folder.path(), "b").await;
    client.add_worker(&second.address).unwrap();
    first.kill().await;
    assert_eq!(within(harmless).await.unwrap().unwrap().body, 1);
    assert_eq!(
        within(other).await.unwrap().unwrap_err(),
        CallError::Lost { may_have_run: true }
    );
    assert_eq!(second.begun(), [1]);
}

// ---- traces -------------------------------------------------------------------------------------

#[derive(Clone, AppState)]
struct Pages {
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
    let folder = sockets();
    let worker = Worker::start(folder.path(), "a").await;
    let address = Address(worker.address.clone());
    let site = Site::http(App::new(routes![index], Pages { address })).await;
    let mut browser = site.browser().await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    browser
        .send(format!(
            "GET / HTTP/1.1\r\nHost: x\r\ntraceparent: 00-{trace}-{span}-01\r\n\r\n"
        ))
        .await;
    let text = browser.answer().await.text().to_owned();
    assert_eq!(text.matches(&format!("\"00-{trace}-")).count(), 2, "{text}");
    assert_eq!(text.matches(&format!(",{}]", worker.id())).count(), 2, "{text}");
    // Each call is a span of its own.
    assert!(!text.contains(span), "{text}");

    // Without one, all that a request does is one trace all the same.
    let text = site.browser().await.get("/").await.text().to_owned();
    let mut traces = text.split("[\"00-").skip(1).map(|rest| &rest[..32]);
    let (first, second) = (traces.next().unwrap(), traces.next().unwrap());
    assert_eq!(first, second);
    assert_ne!(first, trace);
    site.stop().await;
}
