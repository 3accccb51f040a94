//! A deterministic simulation of callers and workers in a faulty network, which checks the guarantees of brubeck's protocol
//! after each event.
//!
//! The guarantees, as errors name them:
//!
//! * P1: each call that is not cancelled ends exactly once and no later than its deadline. If its process was suspended, it may
//!   end with an error when the process is resumed.
//! * P2: the handler of a call that is not idempotent starts at most once.
//! * P3: if a caller is informed that a call did not run, the handler of that call has not started and never starts.
//! * P4: a reply belongs to its call, whose handler has started.
//!
//! `BRUBECK_SIM_SEEDS` sets the number of seeds, or a range `from..to` (default: 2,000); `rolling_restart_fails_no_call` runs at most
//! 200 of them. `BRUBECK_SIM_SEED` selects a single seed for `guarantees_hold_under_faults`.
//! A failure prints its seed and the last 100 events and actions.

mod check;
mod faults;
mod ledger;
mod network;
mod plan;
mod rng;
mod world;

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ledger::Outcomes;
use plan::{Fault, Plan};
use world::{Run, World};

/// Returns the seeds to run.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("BRUBECK_SIM_SEEDS") else {
        return 0..2_000;
    };
    let number = |text: &str| {
        text.parse()
            .unwrap_or_else(|_| panic!("BRUBECK_SIM_SEEDS must be a number or `from..to`, not {text:?}"))
    };
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

fn attempt(world: &mut World) -> Result<Run, String> {
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(result) => result,
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| "panic without a message".to_owned())),
    }
}

/// Runs a plan. If it fails, runs it again with a log, and panics with the seed.
fn run(plan: Plan) -> Run {
    match attempt(&mut World::new(plan.clone())) {
        Ok(run) => run,
        Err(error) => {
            let mut world = World::new(plan.clone());
            world.log = Some(VecDeque::new());
            let again = attempt(&mut world).err();
            for line in world.log.unwrap_or_default() {
                eprintln!("{line}");
            }
            panic!("seed {}: {error}\n(again: {again:?})\n{plan:?}", plan.seed);
        }
    }
}

/// Runs a plan for each seed, on all cores. Returns the number of events, the outcomes of all calls, and the runs.
fn run_all(seeds: Range<u64>, plan: impl Fn(u64) -> Plan + Sync) -> (u64, Outcomes, Vec<Run>) {
    let next = AtomicU64::new(seeds.start);
    let runs = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let run = run(plan(seed));
                    runs.lock().unwrap().push(run);
                }
            });
        }
    });
    let runs = runs.into_inner().unwrap();
    let mut outcomes = Outcomes::default();
    runs.iter().for_each(|run| outcomes.add(&run.outcomes));
    (runs.iter().map(|run| run.events).sum(), outcomes, runs)
}

#[test]
fn guarantees_hold_under_faults() {
    if let Ok(seed) = std::env::var("BRUBECK_SIM_SEED") {
        println!(
            "{:?}",
            run(Plan::chaos(seed.parse().expect("BRUBECK_SIM_SEED is a number")))
        );
        return;
    }
    let seeds = seeds();
    let start = Instant::now();
    let (events, outcomes, runs) = run_all(seeds.clone(), Plan::chaos);
    let took = start.elapsed();
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    println!(
        "{} seeds, {events} events in {took:?}: {:.0} events/s",
        runs.len(),
        events as f64 / took.as_secs_f64()
    );
    println!("{outcomes:?}");
    println!(
        "{} calls, {} starts, {} faults, {} drains of which {} completed, {} misdirected, {} repeated, {} late, {} rerouted, {} retried",
        sum(|run| run.counts.calls),
        sum(|run| run.counts.starts),
        sum(|run| run.counts.faults),
        sum(|run| run.counts.drains),
        sum(|run| run.counts.drained),
        sum(|run| run.counts.misdirected),
        sum(|run| run.counts.duplicates),
        sum(|run| run.counts.late),
        sum(|run| run.counts.rerouted),
        sum(|run| run.counts.retried),
    );
    let faults = Fault::ALL.map(|fault| {
        let count: u64 = runs
            .iter()
            .map(|run| run.counts.faults_by_kind[fault as usize])
            .sum();
        (fault, count)
    });
    println!(
        "{faults:?}, {} messages lost, {} duplicated, {} not sent",
        sum(|run| run.counts.lost_messages),
        sum(|run| run.counts.duplicated_messages),
        sum(|run| run.counts.unsent),
    );
    // Guards against a simulation that is too tame to prove anything.
    assert!(outcomes.replies > outcomes.failures() / 4, "{outcomes:?}");
    for (outcome, count) in [
        ("lost", outcomes.lost),
        ("refused", outcomes.no_workers),
        ("busy", outcomes.busy),
        ("stopped at the deadline", outcomes.running),
        ("cancelled", outcomes.cancelled),
        ("rerouted", sum(|run| run.counts.rerouted)),
        ("retried", sum(|run| run.counts.retried)),
        ("late", sum(|run| run.counts.late)),
        ("misdirected", sum(|run| run.counts.misdirected)),
        ("repeated", sum(|run| run.counts.duplicates)),
        ("drained", sum(|run| run.counts.drained)),
        ("lost in transit", sum(|run| run.counts.lost_messages)),
        ("delivered twice", sum(|run| run.counts.duplicated_messages)),
        ("refused by a link", sum(|run| run.counts.unsent)),
    ] {
        assert!(
            runs.len() < 100 || count > 0,
            "no call, message or worker was {outcome}"
        );
    }
    for (fault, count) in faults {
        assert!(runs.len() < 100 || count > 0, "{fault:?} never happened");
    }
}

#[test]
fn same_seed_gives_same_trace() {
    for seed in 0..40 {
        let (first, second) = (run(Plan::chaos(seed)), run(Plan::chaos(seed)));
        assert_eq!(
            (first.trace, first.events),
            (second.trace, second.events),
            "seed {seed}"
        );
    }
    assert_ne!(run(Plan::chaos(1)).trace, run(Plan::chaos(2)).trace);
}

#[test]
fn rolling_restart_fails_no_call() {
    let plan = |seed| Plan {
        workers: 4,
        faults: vec![Fault::Drain],
        trouble: 400_000,
        pace: 8_000,
        work: 2_000,
        concurrency: 4,
        queue: 4,
        ..Plan::calm(seed)
    };
    let seeds = seeds();
    let (_, outcomes, runs) = run_all(seeds.start..seeds.end.min(seeds.start + 200), plan);
    let drains: u64 = runs.iter().map(|run| run.counts.drained).sum();
    assert!(drains > runs.len() as u64, "{drains}");
    assert_eq!(outcomes.failures(), 0, "{outcomes:?}");
}
