//! A histogram of latencies with a relative error of at most 1/32. Latencies below 32 ns count as 32 ns.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets for each power of two.
const BUCKETS: usize = 32;

/// A histogram of fixed size, to which many tasks can add concurrently.
#[derive(Debug)]
pub struct Latencies {
    counts: Vec<AtomicU64>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            counts: (0..64 * BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Latencies {
    /// Adds a latency.
    pub fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(bucket(nanos)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Returns the number of latencies.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Returns a quantile, such as 0.5 for the median, in microseconds. Returns 0 if there are no latencies.
    pub fn quantile(&self, part: f64) -> f64 {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Relaxed);
            if seen >= wanted.max(1) {
                return middle(index) / 1000.0;
            }
        }
        0.0
    }
}

/// Returns the bucket of a latency in nanoseconds.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(BUCKETS as u64);
    let power = nanos.ilog2() as usize;
    let within = (nanos >> (power - 5)) as usize - BUCKETS;
    (power - 5) * BUCKETS + within
}

/// Returns the middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> f64 {
    let width = 2_f64.powi((bucket / BUCKETS) as i32);
    ((BUCKETS + bucket % BUCKETS) as f64 + 0.5) * width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_accurate_to_one_part_in_32() {
        let latencies = Latencies::default();
        for micros in 1..=1000 {
            latencies.add(Duration::from_micros(micros));
        }
        for (part, micros) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = latencies.quantile(part);
            assert!((found / micros - 1.0).abs() < 1.0 / 32.0, "{part}: {found}");
        }
        assert_eq!(latencies.count(), 1000);
    }
}
