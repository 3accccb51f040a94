//! Callers and workers in a simulated network, with everything going wrong, and the promises checked after every event.
//!
//! `BRUBECK_SIM_SEEDS` sets how many seeds are run (default 2,000), `BRUBECK_SIM_SEED` picks a single one and prints what
//! happened last.

mod simulation {
    pub(crate) mod check;
    pub(crate) mod faults;
    pub(crate) mod ledger;
    pub(crate) mod network;
    pub(crate) mod plan;
    pub(crate) mod rng;
    pub(crate) mod world;
}

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulation::ledger::Outcomes;
use simulation::plan::{Fault, Plan};
use simulation::world::{Run, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn attempt(world: &mut World) -> Result<Run, String> {
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(result) => result,
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| "a panic".to_owned())),
    }
}

/// Runs a plan; a failure names the seed and tells what happened last.
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

/// Runs many seeds on all cores.
fn run_all(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan + Sync) -> (u64, Outcomes, Vec<Run>) {
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
fn the_promises_hold_whatever_goes_wrong() {
    if let Some(seed) = number("BRUBECK_SIM_SEED") {
        println!("{:?}", run(Plan::chaos(seed)));
        return;
    }
    let seeds = number("BRUBECK_SIM_SEEDS").unwrap_or(2_000);
    let start = Instant::now();
    let (events, outcomes, runs) = run_all(0..seeds, Plan::chaos);
    let took = start.elapsed();
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    println!(
        "{seeds} seeds, {events} events in {took:?}: {:.0} events/s",
        events as f64 / took.as_secs_f64()
    );
    println!("{outcomes:?}");
    println!(
        "{} calls, {} starts, {} faults, {} drains of which {} came to an end, {} forged, {} replayed, {} late, {} moved, {} retried",
        sum(|run| run.counts.calls),
        sum(|run| run.counts.starts),
        sum(|run| run.counts.faults),
        sum(|run| run.counts.drains),
        sum(|run| run.counts.idle),
        sum(|run| run.counts.forged),
        sum(|run| run.counts.replayed),
        sum(|run| run.counts.late),
        sum(|run| run.counts.moved),
        sum(|run| run.counts.retried),
    );
    // A simulation in which nothing happens proves nothing.
    assert!(outcomes.replies > outcomes.failures() / 4, "{outcomes:?}");
    for (what, count) in [
        ("lost", outcomes.lost),
        ("refused", outcomes.no_workers),
        ("busy", outcomes.busy),
        ("stopped at the deadline", outcomes.running),
        ("given up", outcomes.given_up),
        ("moved", sum(|run| run.counts.moved)),
        ("retried", sum(|run| run.counts.retried)),
        ("late", sum(|run| run.counts.late)),
        ("forged", sum(|run| run.counts.forged)),
        ("replayed", sum(|run| run.counts.replayed)),
        ("drained", sum(|run| run.counts.idle)),
    ] {
        assert!(seeds < 100 || count > 0, "nothing was {what}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
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
fn restarting_workers_in_turn_fails_no_call() {
    let plan = |seed| Plan {
        workers: 4,
        faults: vec![Fault::Drain],
        trouble: 400_000,
        pace: 8_000,
        work: 2_000,
        slots: 4,
        queue: 4,
        ..Plan::calm(seed)
    };
    let (_, outcomes, runs) = run_all(0..200, plan);
    let drains: u64 = runs.iter().map(|run| run.counts.idle).sum();
    assert!(drains > 200, "{drains}");
    assert_eq!(outcomes.failures(), 0, "{outcomes:?}");
}
