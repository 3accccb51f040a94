//! The parameters of a simulation, derived from a seed.

use std::time::Duration;

use super::rng::Rng;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) callers: usize,
    pub(crate) workers: usize,
    pub(crate) concurrency: usize,
    pub(crate) queue: usize,
    /// The duration for which calls are made, in microseconds.
    pub(crate) load: u64,
    /// The mean time between two calls of one caller, in microseconds.
    pub(crate) pace: u64,
    /// The mean time that a handler takes, in microseconds. 3 % of the handlers are slow, and take up to 40 times this time.
    pub(crate) work: u64,
    /// The mean time between two faults, in microseconds; 0 for none.
    pub(crate) trouble: u64,
    /// The maximum latency of a message, in microseconds, without a fixed part of 20.
    pub(crate) delay: u64,
    /// Messages lost on a healthy link, and messages duplicated, per thousand.
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    /// Messages that the link does not accept, per thousand.
    pub(crate) full: u64,
    /// Calls per thousand that are idempotent, `nowait`, cancelled, or that wait for a worker to become ready.
    pub(crate) idempotent: u64,
    pub(crate) nowait: u64,
    pub(crate) give_up: u64,
    pub(crate) wait_for_ready: u64,
    /// The shortest and the longest timeout of a call, in microseconds.
    pub(crate) min_timeout: u64,
    pub(crate) max_timeout: u64,
    pub(crate) faults: Vec<Fault>,
    /// The illness of worker 0.
    pub(crate) illness: Option<Illness>,
}

/// The illness of a worker whose connection works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Illness {
    /// Its handlers respond with status 500 at once.
    Fails,
    /// Its handlers do not end until they are stopped.
    Hangs,
    /// Its responses are malformed.
    Garbles,
    /// It announces a capacity of 100,000 calls, and all of them share the time of `concurrency` handlers.
    Overcommits,
}

/// The time at which the illness ends, in microseconds.
pub(crate) const RECOVERY: u64 = 12_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Cut,
    /// A link loses all messages of one or both directions.
    HalfOpen,
    FreezeWorker,
    FreezeCaller,
    CrashWorker,
    CrashCaller,
    /// The clock jumps forward by up to a second.
    JumpWorker,
    JumpCaller,
    Drain,
    /// Removes a worker from a caller, or adds it again.
    RemovePeer,
    Replay,
    /// Strangers begin handshakes.
    Flood,
}

impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::Cut,
        Self::HalfOpen,
        Self::FreezeWorker,
        Self::FreezeCaller,
        Self::CrashWorker,
        Self::CrashCaller,
        Self::JumpWorker,
        Self::JumpCaller,
        Self::Drain,
        Self::RemovePeer,
        Self::Replay,
        Self::Flood,
    ];
}

pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

impl Plan {
    /// The number of calls that a worker announces to run at once.
    pub(crate) fn concurrency_of(&self, worker: usize) -> usize {
        if worker == 0 && self.illness == Some(Illness::Overcommits) {
            100_000
        } else {
            self.concurrency
        }
    }

    /// A simulation with faults. The seed decides which ones, and how often.
    pub(crate) fn chaos(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let concurrency = rng.range(1, 5) as usize;
        let some = |rng: &mut Rng, once_in: u64, max: u64| {
            if rng.next().is_multiple_of(once_in) {
                rng.range(1, max)
            } else {
                0
            }
        };
        // Only a few kinds of fault, so that each is also tested in isolation.
        let kinds = rng.range(1, 5);
        let faults = (0..kinds)
            .map(|_| Fault::ALL[rng.index(Fault::ALL.len())])
            .collect();
        Self {
            seed,
            callers: rng.range(1, 4) as usize,
            workers: rng.range(1, 5) as usize,
            concurrency,
            queue: rng.range(0, 1 + 2 * concurrency as u64) as usize,
            load: rng.range(300_000, 1_000_000),
            pace: rng.range(3_000, 30_000),
            work: rng.range(500, 20_000),
            trouble: rng.range(20_000, 300_000),
            delay: rng.range(50, 20_000),
            loss: some(&mut rng, 4, 200),
            duplicates: some(&mut rng, 4, 200),
            full: some(&mut rng, 4, 50),
            idempotent: rng.range(0, 600),
            nowait: rng.range(0, 400),
            give_up: rng.range(0, 100),
            wait_for_ready: rng.range(0, 200),
            min_timeout: 500,
            max_timeout: rng.range(20_000, 800_000),
            faults,
            illness: None,
        }
    }

    /// A simulation of 2 to 5 workers, one of which is ill and recovers. The workers are in use by a half.
    pub(crate) fn ill(seed: u64, illness: Illness) -> Self {
        let workers = 2 + seed % 4;
        Self {
            callers: 1,
            workers: workers as usize,
            concurrency: 4,
            queue: 8,
            work: 20_000,
            pace: 20_000 / (2 * (workers - 1)),
            load: RECOVERY + 24_000_000,
            idempotent: 0,
            nowait: 0,
            wait_for_ready: 0,
            illness: Some(illness),
            ..Self::calm(seed)
        }
    }

    /// A simulation without faults.
    pub(crate) fn calm(seed: u64) -> Self {
        Self {
            trouble: 0,
            loss: 0,
            duplicates: 0,
            full: 0,
            give_up: 0,
            faults: Vec::new(),
            delay: 500,
            min_timeout: 700_000,
            max_timeout: 800_000,
            ..Self::chaos(seed)
        }
    }
}
