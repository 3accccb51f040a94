//! Whether the handlers of an operation are quick.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// An answer that took no longer than this costs less than to hand it to another task.
const QUICK: Duration = Duration::from_micros(20);

/// An answer that took longer than this has kept others waiting, where it was not handed to another task.
const SLOW: Duration = Duration::from_millis(1);

/// So many quick answers, one after the other, say that the next one will be quick as well ...
const ENOUGH: u64 = 64;

/// ... and at most so many, where that was wrong too often.
const MOST: u64 = 1 << 20;

/// So many times as many as were needed, without a slow one, earn trust back.
const TRUST: u64 = 64;

/// How quickly one operation has been answered of late.
///
/// Each time that a quick one turns out slow, twice as many have to be quick before one is counted on again: an operation
/// that is slow now and then is soon taken for a slow one. Threads that count at once may lose a count, which harms nothing.
#[derive(Debug)]
pub(super) struct Pace {
    /// Quick answers, one after the other.
    streak: AtomicU64,
    needed: AtomicU64,
}

impl Pace {
    pub(super) const fn new() -> Pace {
        Pace {
            streak: AtomicU64::new(0),
            needed: AtomicU64::new(ENOUGH),
        }
    }

    /// Whether the next answer will be quick, as far as can be told.
    pub(super) fn is_quick(&self) -> bool {
        self.streak.load(Relaxed) >= self.needed.load(Relaxed)
    }

    /// An answer took so long; `None` where it was never finished.
    pub(super) fn learn(&self, took: Option<Duration>) {
        let (streak, needed) = (self.streak.load(Relaxed), self.needed.load(Relaxed));
        if took.is_some_and(|took| took <= QUICK) {
            self.streak.store(streak.saturating_add(1), Relaxed);
            if needed > ENOUGH && streak >= needed.saturating_mul(TRUST) {
                self.needed.store(needed / 2, Relaxed);
                self.streak.store(needed, Relaxed);
            }
            return;
        }
        if streak >= needed && took.is_some_and(|took| took > SLOW) {
            self.needed.store((needed * 2).min(MOST), Relaxed);
        }
        self.streak.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(pace: &Pace, times: u64, took: Duration) {
        (0..times).for_each(|_| pace.learn(Some(took)));
    }

    #[test]
    fn an_operation_is_quick_once_it_was_often_enough_and_not_after_it_was_not() {
        let pace = Pace::new();
        learn(&pace, ENOUGH - 1, QUICK);
        assert!(!pace.is_quick());
        learn(&pace, 1, QUICK);
        assert!(pace.is_quick());
        pace.learn(Some(QUICK * 2));
        assert!(!pace.is_quick());
        learn(&pace, ENOUGH, QUICK);
        assert!(pace.is_quick());
        pace.learn(None);
        assert!(!pace.is_quick(), "who knows how long it would have taken");
    }

    #[test]
    fn one_that_is_slow_now_and_then_is_soon_not_counted_on() {
        let pace = Pace::new();
        let mut held_up = 0;
        for _ in 0..10_000 {
            learn(&pace, 999, QUICK);
            held_up += u64::from(pace.is_quick());
            pace.learn(Some(SLOW * 2));
        }
        assert_eq!(held_up, 4, "of 10,000 slow ones");
    }

    #[test]
    fn trust_comes_back() {
        let pace = Pace::new();
        for times in 0..6 {
            learn(&pace, ENOUGH << times, QUICK);
            pace.learn(Some(SLOW * 2));
        }
        learn(&pace, ENOUGH, QUICK);
        assert!(!pace.is_quick());
        learn(&pace, (ENOUGH << 7) * TRUST, QUICK);
        pace.learn(Some(QUICK * 2));
        learn(&pace, ENOUGH, QUICK);
        assert!(pace.is_quick());
    }
}
