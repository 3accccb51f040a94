//! What a service counts of its requests.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// Buckets of an eighth of a power of two: 312 of them reach 12 days in microseconds.
const BUCKETS: usize = 312;

/// Counts requests, and how long they take.
pub(super) struct Stats {
    since: Instant,
    requests: AtomicU64,
    answered: AtomicU64,
    errors: AtomicU64,
    cancelled: AtomicU64,
    took: [AtomicU64; BUCKETS],
}

impl Stats {
    pub(super) fn new() -> Stats {
        Stats {
            since: Instant::now(),
            requests: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            took: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    /// A request came; what is returned is to be told of its answer, and takes it for cancelled when dropped before.
    pub(super) fn begin(&self) -> Counted<'_> {
        self.requests.fetch_add(1, Relaxed);
        Counted {
            stats: self,
            began: Instant::now(),
            answered: false,
        }
    }

    /// How things stand, as JSON.
    pub(super) fn json(&self) -> Value {
        let ended = self.answered.load(Relaxed) + self.cancelled.load(Relaxed);
        let took: Vec<u64> = self.took.iter().map(|bucket| bucket.load(Relaxed)).collect();
        json!({
            "uptime_ms": u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            "requests": self.requests.load(Relaxed),
            "errors": self.errors.load(Relaxed),
            "cancelled": self.cancelled.load(Relaxed),
            "in_flight": self.requests.load(Relaxed).saturating_sub(ended),
            "p50_us": quantile(&took, 50),
            "p99_us": quantile(&took, 99),
        })
    }
}

/// A request that is being answered.
pub(super) struct Counted<'s> {
    stats: &'s Stats,
    began: Instant,
    answered: bool,
}

impl Counted<'_> {
    pub(super) fn answered(mut self, success: bool) {
        self.answered = true;
        self.stats.answered.fetch_add(1, Relaxed);
        self.stats.errors.fetch_add(u64::from(!success), Relaxed);
        if let Some(bucket) = self.stats.took.get(bucket(self.began.elapsed())) {
            bucket.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.stats.cancelled.fetch_add(u64::from(!self.answered), Relaxed);
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let bucket = match micros.checked_ilog2() {
        None | Some(0..=3) => micros,
        Some(power) => {
            let eighth = (micros >> (power - 3)) & 7;
            16 + u64::from(power - 4) * 8 + eighth
        }
    };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest number of microseconds that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    match bucket as u64 {
        exact @ 0..16 => exact,
        bucket => {
            let (power, eighth) = ((bucket - 16) / 8 + 4, (bucket - 16) % 8);
            ((9 + eighth) << (power - 3)) - 1
        }
    }
}

/// Below or at which this percentage of the requests was answered; 0 without any. At most an eighth too much.
fn quantile(took: &[u64], percent: u64) -> u64 {
    let all: u64 = took.iter().sum();
    let wanted = (all * percent).div_ceil(100);
    let mut seen = 0;
    let reached = took.iter().position(|count| {
        seen += count;
        seen >= wanted && wanted > 0
    });
    reached.map_or(0, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_its_bounds_say() {
        for micros in (0..5_000_u64).chain((1..40).map(|power| 1 << power)) {
            let bucket = bucket(Duration::from_micros(micros));
            assert!(upper(bucket) >= micros, "{micros} us in {bucket}");
            assert!(
                bucket == 0 || upper(bucket - 1) < micros,
                "{micros} us in {bucket}"
            );
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_found_from_below() {
        let mut took = vec![0; BUCKETS];
        assert_eq!(quantile(&took, 99), 0);
        took[bucket(Duration::from_micros(5))] = 98;
        took[bucket(Duration::from_micros(1000))] = 2;
        assert_eq!((quantile(&took, 50), quantile(&took, 98)), (5, 5));
        assert!((1000..=1125).contains(&quantile(&took, 99)));
    }

    #[test]
    fn a_request_that_is_dropped_was_cancelled() {
        let stats = Stats::new();
        stats.begin().answered(true);
        stats.begin().answered(false);
        drop(stats.begin());
        let _running = stats.begin();
        let json = stats.json();
        let counts = ["requests", "errors", "cancelled", "in_flight"].map(|name| json[name].as_u64());
        assert_eq!(counts, [Some(4), Some(1), Some(1), Some(1)]);
    }
}
