//! How much may be tried again.

use std::time::Duration;

use crate::rpc::core::Moment;
use crate::rpc::core::entropy::Entropy;

/// One retry, in thousandths.
const RETRY: u64 = 1000;
/// What every call adds: 10 %.
const PER_CALL: u64 = 100;
/// What every millisecond adds: 10 per second.
const PER_MILLISECOND: u64 = 10;
/// What there is at the start.
const RESERVE: u64 = 100 * RETRY;
/// What can be saved up.
const MOST: u64 = 1000 * RETRY;

/// A bucket of retries: one for ten calls and ten for each second, so that retries never make an overload worse.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    filled: Moment,
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self {
            left: RESERVE,
            filled: Duration::ZERO,
        }
    }

    /// A call was made.
    pub(super) fn deposit(&mut self) {
        self.left = (self.left + PER_CALL).min(MOST);
    }

    /// Takes one retry, if there is one.
    pub(super) fn withdraw(&mut self, now: Moment) -> bool {
        let passed = now.saturating_sub(self.filled).as_millis();
        let earned = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(PER_MILLISECOND);
        self.filled = now;
        self.left = self.left.saturating_add(earned).min(MOST);
        match self.left.checked_sub(RETRY) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// How long to wait before a call is sent for the `attempt`th time: anything up to `base`, doubled with each attempt.
pub(super) fn delay(base: Duration, attempt: u8, entropy: &mut Entropy) -> Duration {
    let longest = base.saturating_mul(1 << attempt.saturating_sub(1).min(6));
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(entropy.below(micros.saturating_add(1)))
}
