//! Whether a handler is quick: then it runs where its request was read, and is not handed to a task of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// An answer that took no longer than this costs less than to hand it to another task.
const FAST_THRESHOLD: Duration = Duration::from_micros(20);

/// An answer that took longer than this has kept others waiting, where it was not handed to another task.
const BLOCKING_THRESHOLD: Duration = Duration::from_millis(1);

/// So many quick answers, one after the other, say that the next one will be quick as well ...
const MIN_FAST_STREAK: u64 = 64;

/// ... and at most so many, where that was wrong too often.
const MAX_REQUIRED_STREAK: u64 = 1 << 20;

/// An answer between the two takes away what so many quick ones earned: it may have been the turn of another thread.
const MEDIUM_PENALTY: u64 = MIN_FAST_STREAK / 2;

/// After one that blocked its thread, so many may do the same.
const POST_BLOCK_WATCH: u64 = 1 << 10;

/// So many times as many as were needed, without a slow one, earn trust back.
const RECOVERY_FACTOR: u64 = 64;

/// How quickly one handler has answered of late.
///
/// Each time that a quick one turns out slow, twice as many have to be quick before one is counted on again: a handler
/// that is slow now and then is soon taken for a slow one. Threads that count at once may lose a count, which harms nothing.
#[derive(Debug)]
pub(crate) struct LatencyTracker {
    /// Quick answers, one after the other.
    streak: AtomicU64,
    needed: AtomicU64,
    /// So many answers more may block their thread.
    careful: AtomicU64,
}

impl LatencyTracker {
    pub(crate) const fn new() -> LatencyTracker {
        LatencyTracker {
            streak: AtomicU64::new(0),
            needed: AtomicU64::new(MIN_FAST_STREAK),
            careful: AtomicU64::new(0),
        }
    }

    /// Whether the next answer will be quick, as far as can be told.
    pub(crate) fn should_poll_inline(&self) -> bool {
        self.streak.load(Relaxed) >= self.needed.load(Relaxed)
    }

    /// An answer took so long; `None` where it was never finished.
    pub(crate) fn learn(&self, took: Option<Duration>) {
        let (streak, needed) = (self.streak.load(Relaxed), self.needed.load(Relaxed));
        let careful = self.careful.load(Relaxed);
        if careful > 0 {
            self.careful.store(careful - 1, Relaxed);
        }
        if took.is_some_and(|took| took <= FAST_THRESHOLD) {
            self.streak.store(streak.saturating_add(1), Relaxed);
            if needed > MIN_FAST_STREAK && streak >= needed.saturating_mul(RECOVERY_FACTOR) {
                self.needed.store(needed / 2, Relaxed);
                self.streak.store(needed, Relaxed);
            }
            return;
        }
        let is_slow = took.is_none_or(|took| took > BLOCKING_THRESHOLD);
        if streak >= needed && took.is_some() && is_slow {
            self.needed.store((needed * 2).min(MAX_REQUIRED_STREAK), Relaxed);
        }
        let left = match is_slow || streak < needed {
            true => 0,
            false => streak.min(needed + MIN_FAST_STREAK) - MEDIUM_PENALTY,
        };
        self.streak.store(left, Relaxed);
    }
}

/// One answer that is timed, from the first moment at which somebody works on it.
#[derive(Debug)]
pub(crate) struct PollTimer {
    tracker: Arc<LatencyTracker>,
    began: Option<Instant>,
    ended: bool,
}

impl PollTimer {
    pub(crate) fn new(tracker: &Arc<LatencyTracker>) -> PollTimer {
        PollTimer {
            tracker: tracker.clone(),
            began: None,
            ended: false,
        }
    }

    /// Whether it will be there quickly, as far as can be told.
    pub(crate) fn should_poll_inline(&self) -> bool {
        self.tracker.should_poll_inline()
    }

    /// Polls for it. A handler that keeps its thread is remembered.
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        let polled = poll();
        let end = Instant::now();
        if end - now > BLOCKING_THRESHOLD {
            self.tracker.careful.store(POST_BLOCK_WATCH, Relaxed);
        }
        if polled.is_ready() {
            self.ended = true;
            self.tracker.learn(Some(end - began));
        }
        polled
    }

    /// Where its handler blocked its thread of late: has another thread woken, that looks after everything else meanwhile.
    ///
    /// While it works, a thread of the runtime watches no sockets, and one that is asleep does not know that it should.
    pub(crate) async fn wake_others(&self) {
        let mut first = self.tracker.careful.load(Relaxed) > 0;
        poll_fn(|cx| match std::mem::take(&mut first) {
            true => {
                // What wakes itself goes to the end of the queue, and an idle thread is called to help.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            false => Poll::Ready(()),
        })
        .await;
    }
}

impl Drop for PollTimer {
    fn drop(&mut self) {
        if !self.ended {
            self.tracker.learn(None);
        }
    }
}

/// Polls a handler once, where its request was read.
///
/// The waker does nothing: a handler that is not ready is polled again where it is waited for, before anything can wake it.
pub(crate) fn poll_inline<F: Future + Unpin>(handler: &mut F) -> Poll<F::Output> {
    Pin::new(handler).poll(&mut Context::from_waker(Waker::noop()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(tracker: &LatencyTracker, times: u64, took: Duration) {
        (0..times).for_each(|_| tracker.learn(Some(took)));
    }

    #[test]
    fn a_handler_is_quick_once_it_was_often_enough_and_not_after_it_was_not() {
        let tracker = LatencyTracker::new();
        learn(&tracker, MIN_FAST_STREAK - 1, FAST_THRESHOLD);
        assert!(!tracker.should_poll_inline());
        learn(&tracker, 1, FAST_THRESHOLD);
        assert!(tracker.should_poll_inline());
        tracker.learn(Some(BLOCKING_THRESHOLD * 2));
        assert!(!tracker.should_poll_inline());
        learn(&tracker, MIN_FAST_STREAK * 2, FAST_THRESHOLD);
        assert!(tracker.should_poll_inline());
        tracker.learn(None);
        assert!(
            !tracker.should_poll_inline(),
            "who knows how long it would have taken"
        );
    }

    #[test]
    fn an_answer_that_never_comes_is_not_quick() {
        let tracker = Arc::new(LatencyTracker::new());
        learn(&tracker, MIN_FAST_STREAK, FAST_THRESHOLD);
        let mut timed = PollTimer::new(&tracker);
        assert!(timed.should_poll_inline());
        assert!(timed.poll(|| Poll::<()>::Pending).is_pending());
        assert!(tracker.should_poll_inline());
        drop(timed);
        assert!(!tracker.should_poll_inline());
    }

    #[tokio::test]
    async fn others_are_woken_for_a_handler_that_blocked_its_thread() {
        let tracker = Arc::new(LatencyTracker::new());
        let wakes = || {
            let timed = PollTimer::new(&tracker);
            async move { futures_util::poll!(std::pin::pin!(timed.wake_others())).is_pending() }
        };
        assert!(!wakes().await);
        let mut timed = PollTimer::new(&tracker);
        let blocks = || {
            std::thread::sleep(BLOCKING_THRESHOLD * 2);
            Poll::Ready("slow")
        };
        assert!(timed.poll(blocks).is_ready());
        assert!(wakes().await);
        learn(&tracker, POST_BLOCK_WATCH, FAST_THRESHOLD);
        assert!(!wakes().await);
    }

    #[test]
    fn one_that_is_slow_now_and_then_is_soon_not_counted_on() {
        let tracker = LatencyTracker::new();
        let mut held_up = 0;
        for _ in 0..10_000 {
            learn(&tracker, 999, FAST_THRESHOLD);
            held_up += u64::from(tracker.should_poll_inline());
            tracker.learn(Some(BLOCKING_THRESHOLD * 2));
        }
        assert_eq!(held_up, 4, "of 10,000 slow ones");
    }

    #[test]
    fn one_that_takes_longer_now_and_then_is_counted_on_and_one_that_often_does_is_not() {
        let trusted = |apart: u64| {
            let tracker = LatencyTracker::new();
            let mut trusted = 0;
            for _ in 0..1_000 {
                learn(&tracker, apart, FAST_THRESHOLD);
                trusted += u64::from(tracker.should_poll_inline());
                tracker.learn(Some(FAST_THRESHOLD * 2));
            }
            trusted
        };
        assert_eq!(trusted(100), 1_000);
        assert_eq!(trusted(20), 0);
    }

    #[test]
    fn trust_comes_back() {
        let tracker = LatencyTracker::new();
        for times in 0..6 {
            learn(&tracker, MIN_FAST_STREAK << times, FAST_THRESHOLD);
            tracker.learn(Some(BLOCKING_THRESHOLD * 2));
        }
        learn(&tracker, MIN_FAST_STREAK, FAST_THRESHOLD);
        assert!(!tracker.should_poll_inline());
        learn(&tracker, (MIN_FAST_STREAK << 7) * RECOVERY_FACTOR, FAST_THRESHOLD);
        tracker.learn(None);
        learn(&tracker, MIN_FAST_STREAK, FAST_THRESHOLD);
        assert!(tracker.should_poll_inline());
    }
}
