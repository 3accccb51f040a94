//! Predicts from past latencies whether a handler should be polled inline or in a task of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// A response within this time is fast: moving its request to another task could cost as much.
const FAST_THRESHOLD: Duration = Duration::from_micros(20);

/// A response after a longer time is slow. A single poll that takes longer blocks its thread: everything else on it is delayed.
const BLOCKING_THRESHOLD: Duration = Duration::from_millis(1);

/// Consecutive fast responses after which a handler is polled inline for the first time.
const MIN_FAST_STREAK: u64 = 64;

/// Upper bound for the streak that is required after wrong predictions.
const MAX_REQUIRED_STREAK: u64 = 1 << 20;

/// Reduction of the streak for a response between the two thresholds, if the handler was polled inline.
const MEDIUM_PENALTY: u64 = MIN_FAST_STREAK / 2;

/// Number of responses for which a handler counts as blocking after it has blocked its thread, including the response to the
/// request that blocked.
const POST_BLOCK_WATCH: u64 = 1 << 10;

/// Halves the required streak once a streak is this many times as long.
const RECOVERY_FACTOR: u64 = 64;

/// The latency history of one handler.
///
/// A handler is polled inline once it has a streak of fast responses. Each wrong prediction, that is a slow response of a
/// handler that was polled inline, doubles the streak that is required from then on. A handler that is slow once in a
/// thousand calls is therefore soon never polled inline.
///
/// The counters are separate relaxed atomics. Concurrent updates may lose a count, which only delays a decision.
#[derive(Debug)]
pub(crate) struct LatencyTracker {
    /// Consecutive fast responses.
    streak: AtomicU64,
    /// The streak from which on the handler is polled inline.
    required_streak: AtomicU64,
    /// The remaining responses for which the handler counts as blocking.
    blocking_watch: AtomicU64,
}

/// The classes of latency that [`LatencyTracker::record`] distinguishes.
enum Latency {
    Fast,
    Medium,
    Slow,
    /// The handler was dropped before it responded.
    Unfinished,
}

impl Latency {
    fn classify(took: Option<Duration>) -> Latency {
        match took {
            None => Latency::Unfinished,
            Some(took) if took <= FAST_THRESHOLD => Latency::Fast,
            Some(took) if took <= BLOCKING_THRESHOLD => Latency::Medium,
            Some(_) => Latency::Slow,
        }
    }
}

impl LatencyTracker {
    pub(crate) const fn new() -> LatencyTracker {
        LatencyTracker {
            streak: AtomicU64::new(0),
            required_streak: AtomicU64::new(MIN_FAST_STREAK),
            blocking_watch: AtomicU64::new(0),
        }
    }

    /// Predicts whether the next response will be fast.
    pub(crate) fn should_poll_inline(&self) -> bool {
        self.streak.load(Relaxed) >= self.required_streak.load(Relaxed)
    }

    /// Records the time until a response, or `None` if the handler was dropped before it responded.
    pub(crate) fn record(&self, took: Option<Duration>) {
        let blocking_watch = self.blocking_watch.load(Relaxed);
        if blocking_watch > 0 {
            self.blocking_watch.store(blocking_watch - 1, Relaxed);
        }
        let streak = self.streak.load(Relaxed);
        let required = self.required_streak.load(Relaxed);
        let was_inline = streak >= required;
        let new_streak = match Latency::classify(took) {
            Latency::Fast => {
                let has_recovered = streak >= required.saturating_mul(RECOVERY_FACTOR);
                if has_recovered && required > MIN_FAST_STREAK {
                    // The streak starts over at the old requirement. Otherwise the next fast response would halve the
                    // requirement again.
                    self.required_streak.store(required / 2, Relaxed);
                    required
                } else {
                    streak.saturating_add(1)
                }
            }
            // Preemption may explain one or two such responses. Three of them within a short time end inline polling, however
            // long the streak was: the cap leaves room for two penalties.
            Latency::Medium if was_inline => streak.min(required + MIN_FAST_STREAK) - MEDIUM_PENALTY,
            Latency::Slow if was_inline => {
                let doubled = (required * 2).min(MAX_REQUIRED_STREAK);
                self.required_streak.store(doubled, Relaxed);
                0
            }
            // The prediction was not wrong: the handler was not polled inline, or its latency is unknown.
            Latency::Medium | Latency::Slow | Latency::Unfinished => 0,
        };
        self.streak.store(new_streak, Relaxed);
    }

    /// Returns `true` if the handler has blocked its thread recently.
    fn is_blocking(&self) -> bool {
        self.blocking_watch.load(Relaxed) > 0
    }
}

/// Measures one run of a handler, from its first poll to its response.
#[derive(Debug)]
pub(crate) struct PollTimer {
    tracker: Arc<LatencyTracker>,
    first_poll: Option<Instant>,
    finished: bool,
}

impl PollTimer {
    pub(crate) fn new(tracker: &Arc<LatencyTracker>) -> PollTimer {
        PollTimer {
            tracker: tracker.clone(),
            first_poll: None,
            finished: false,
        }
    }

    /// Predicts whether the response will be fast.
    pub(crate) fn should_poll_inline(&self) -> bool {
        self.tracker.should_poll_inline()
    }

    /// Polls the handler, and records its latency once it is ready.
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let start = Instant::now();
        let first_poll = *self.first_poll.get_or_insert(start);
        let polled = poll();
        let end = Instant::now();
        // Only the time of a single poll shows that the thread was blocked. While a handler is pending, others run.
        if end - start > BLOCKING_THRESHOLD {
            self.tracker.blocking_watch.store(POST_BLOCK_WATCH, Relaxed);
        }
        if polled.is_ready() {
            self.finished = true;
            self.tracker.record(Some(end - first_poll));
        }
        polled
    }

    /// Wakes a second worker thread if the handler has blocked its thread recently. Call this before polling the handler.
    ///
    /// A worker thread of tokio that is busy does not poll the I/O driver, and idle threads stay parked if no task is
    /// queued. A blocking handler could then delay every socket of the runtime.
    pub(crate) async fn wake_others(&self) {
        let mut must_yield = self.tracker.is_blocking();
        poll_fn(|cx| {
            if std::mem::take(&mut must_yield) {
                // Tokio queues a task that wakes itself, and unparks an idle thread to help with the queue.
                cx.waker().wake_by_ref();
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}

impl Drop for PollTimer {
    fn drop(&mut self) {
        if !self.finished {
            self.tracker.record(None);
        }
    }
}

/// Polls a handler once, with a waker that does nothing.
///
/// If the handler is pending, the caller must poll it again with a waker of its own; until then it cannot be woken.
pub(crate) fn poll_inline<F: Future + Unpin>(handler: &mut F) -> Poll<F::Output> {
    Pin::new(handler).poll(&mut Context::from_waker(Waker::noop()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(2);
    const MEDIUM: Duration = Duration::from_micros(40);

    fn record_fast(tracker: &LatencyTracker, times: u64) {
        (0..times).for_each(|_| tracker.record(Some(FAST_THRESHOLD)));
    }

    #[test]
    fn polls_inline_after_a_fast_streak_until_a_slow_response() {
        let tracker = LatencyTracker::new();
        record_fast(&tracker, MIN_FAST_STREAK - 1);
        assert!(!tracker.should_poll_inline());
        record_fast(&tracker, 1);
        assert!(tracker.should_poll_inline());
        tracker.record(Some(SLOW));
        assert!(!tracker.should_poll_inline());
        record_fast(&tracker, MIN_FAST_STREAK * 2);
        assert!(tracker.should_poll_inline());
        tracker.record(None);
        assert!(
            !tracker.should_poll_inline(),
            "an unknown latency must end the streak"
        );
    }

    #[test]
    fn dropping_an_unfinished_handler_ends_the_streak() {
        let tracker = Arc::new(LatencyTracker::new());
        record_fast(&tracker, MIN_FAST_STREAK);
        let mut timer = PollTimer::new(&tracker);
        assert!(timer.should_poll_inline());
        assert!(timer.poll(|| Poll::<()>::Pending).is_pending());
        assert!(tracker.should_poll_inline());
        drop(timer);
        assert!(!tracker.should_poll_inline());
    }

    #[tokio::test]
    async fn wakes_another_thread_after_a_handler_blocked_its_thread() {
        let tracker = Arc::new(LatencyTracker::new());
        let wakes_others = || {
            let timer = PollTimer::new(&tracker);
            async move { futures_util::poll!(std::pin::pin!(timer.wake_others())).is_pending() }
        };
        assert!(!wakes_others().await);
        let mut timer = PollTimer::new(&tracker);
        let block_thread = || {
            std::thread::sleep(SLOW);
            Poll::Ready("slow")
        };
        assert!(timer.poll(block_thread).is_ready());
        assert!(wakes_others().await);
        record_fast(&tracker, POST_BLOCK_WATCH);
        assert!(!wakes_others().await);
    }

    #[test]
    fn occasionally_slow_handler_is_soon_not_polled_inline() {
        let tracker = LatencyTracker::new();
        let mut slow_inline_polls = 0;
        for _ in 0..10_000 {
            record_fast(&tracker, 999);
            slow_inline_polls += u64::from(tracker.should_poll_inline());
            tracker.record(Some(SLOW));
        }
        assert_eq!(slow_inline_polls, 4, "of 10,000 slow responses");
    }

    #[test]
    fn rare_medium_responses_keep_inline_polling_and_frequent_ones_end_it() {
        let inline_polls = |fast_between: u64| {
            let tracker = LatencyTracker::new();
            let mut inline_polls = 0;
            for _ in 0..1_000 {
                record_fast(&tracker, fast_between);
                inline_polls += u64::from(tracker.should_poll_inline());
                tracker.record(Some(MEDIUM));
            }
            inline_polls
        };
        assert_eq!(inline_polls(100), 1_000);
        assert_eq!(inline_polls(20), 0);
    }

    #[test]
    fn third_medium_response_in_a_row_ends_inline_polling() {
        let tracker = LatencyTracker::new();
        record_fast(&tracker, MIN_FAST_STREAK * 10);
        for inline_afterwards in [true, true, false] {
            tracker.record(Some(MEDIUM));
            assert_eq!(tracker.should_poll_inline(), inline_afterwards);
        }
    }

    #[test]
    fn required_streak_recovers_after_a_long_fast_streak() {
        let tracker = LatencyTracker::new();
        for doublings in 0..6 {
            record_fast(&tracker, MIN_FAST_STREAK << doublings);
            tracker.record(Some(SLOW));
        }
        record_fast(&tracker, MIN_FAST_STREAK);
        assert!(!tracker.should_poll_inline());
        record_fast(&tracker, (MIN_FAST_STREAK << 7) * RECOVERY_FACTOR);
        tracker.record(None);
        record_fast(&tracker, MIN_FAST_STREAK);
        assert!(tracker.should_poll_inline());
    }
}
