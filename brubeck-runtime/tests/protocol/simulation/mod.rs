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
use plan::{Fault, Illness, Plan};
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

/// The share of failed calls in some seconds of a run, and the share of handlers that the ill worker ran.
fn shares(run: &Run, seconds: Range<usize>) -> (f64, f64) {
    let seconds = &run.seconds[seconds];
    let sum = |of: fn(&world::Second) -> u64| seconds.iter().map(of).sum::<u64>() as f64;
    (
        sum(|second| second.failed) / sum(|second| second.ended),
        sum(|second| second.ill_starts) / sum(|second| second.starts),
    )
}

/// One ill worker of n costs at most 1/n + 5 % of the calls, nearly none after ten seconds, and gets its share again after it has
/// recovered.
fn one_ill_worker(illness: Illness) {
    let seeds = seeds();
    // All seeds take minutes.
    let end = match std::env::var_os("BRUBECK_SIM_SEEDS") {
        Some(_) => seeds.end,
        None => seeds.end.min(seeds.start + 8),
    };
    let (_, _, runs) = run_all(seeds.start..end, |seed| Plan::ill(seed, illness));
    let (mut most_failed, mut late_failed, mut late_ended) = (0.0_f64, 0, 0);
    let mut recovered = [(0.0, 0.0); 6];
    let recovery = (plan::RECOVERY / 1_000_000) as usize;
    for run in &runs {
        let (failed, _) = shares(run, 0..recovery);
        most_failed = most_failed.max(failed);
        assert!(
            failed <= 1.0 / run.workers as f64 + 0.05,
            "{failed:.3} of the calls failed with {} workers",
            run.workers
        );
        for second in &run.seconds[recovery - 2..recovery] {
            late_failed += second.failed;
            late_ended += second.ended;
        }
        let (_, share) = shares(run, recovery + 18..recovery + 23);
        let (sum, count) = &mut recovered[run.workers];
        *sum += share;
        *count += 1.0;
    }
    let late = late_failed as f64 / late_ended as f64;
    println!(
        "{illness:?}: {} runs, at most {most_failed:.4} of the calls of a run failed, and {late:.4} after ten seconds",
        runs.len()
    );
    assert!(late < 0.01, "{late:.4} of the calls failed after ten seconds");
    for (workers, (sum, count)) in recovered
        .iter()
        .enumerate()
        .filter(|(_, (_, count))| *count > 0.0)
    {
        let share = sum / count;
        println!("{workers} workers: after its recovery the worker got {share:.3} of the calls");
        assert!(share > 0.5 / workers as f64, "{share:.3} with {workers} workers");
    }
}

#[test]
fn worker_that_fails_at_once_costs_its_share_at_most() {
    one_ill_worker(Illness::Fails);
}

#[test]
fn worker_that_hangs_costs_its_share_at_most() {
    one_ill_worker(Illness::Hangs);
}

#[test]
fn worker_with_malformed_responses_costs_its_share_at_most() {
    one_ill_worker(Illness::Garbles);
}

#[test]
fn worker_that_announces_too_much_costs_its_share_at_most() {
    one_ill_worker(Illness::Overcommits);
}
