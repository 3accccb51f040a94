//! How long calls took, counted in steps of at most a thirty-second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Steps within each power of two.
const STEPS: usize = 32;

/// A histogram that many tasks add to at once, and that never grows.
#[derive(Debug)]
pub struct Latencies {
    counts: Vec<AtomicU64>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            counts: (0..64 * STEPS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Latencies {
    /// Adds one.
    pub fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(step(nanos)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// What this part of them (0.5: half) did not exceed, in microseconds.
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

/// The step that a number of nanoseconds falls into.
fn step(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS as u64);
    let power = nanos.ilog2() as usize;
    let within = (nanos >> (power - 5)) as usize - STEPS;
    (power - 5) * STEPS + within
}

/// The middle of a step, in nanoseconds.
fn middle(step: usize) -> f64 {
    let width = 2_f64.powi((step / STEPS) as i32);
    ((STEPS + step % STEPS) as f64 + 0.5) * width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_true_to_a_thirty_second() {
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
