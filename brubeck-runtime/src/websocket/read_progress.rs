//! The progress that a client makes in reading.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The reason for the client that reads too slowly, and for its handler.
pub(crate) const TOO_SLOW: super::Close =
    super::Close::with_reason(1008, "the client does not read its messages");

/// Time after which a client that takes nothing of the broadcasts for it is disconnected.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Limit for the pauses between two reads that are remembered.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// The progress of one client in reading the bytes that wait for it. Front ends record it, and broadcasts read it.
#[derive(Debug, Default)]
pub(crate) struct ReadProgress(Mutex<ReadTimes>);

#[derive(Debug, Default)]
struct ReadTimes {
    /// The time since which the client has accepted no bytes, although some wait.
    blocked_since: Option<Instant>,
    /// The end of the time for which this is known. `None` if it lasts until the front end says something else.
    blocked_until: Option<Instant>,
    /// The last time at which the client has accepted bytes. A later time than now if none is expected earlier.
    accepted_at: Option<Instant>,
    /// The longest of the latest pauses in which the client accepted nothing, and after which it read again.
    pause: Duration,
}

impl ReadTimes {
    fn blocked_for(&self, now: Instant) -> Option<Duration> {
        let until = self.blocked_until.unwrap_or(now);
        Some(until.saturating_duration_since(self.blocked_since?))
    }
}

impl ReadProgress {
    /// Records that the client accepts no bytes from now on.
    pub(crate) fn block(&self) {
        self.with(|state| {
            state.blocked_since.get_or_insert_with(Instant::now);
            state.blocked_until = None;
        });
    }

    /// Records that the client has accepted no bytes between two times. It may have done so since.
    pub(crate) fn block_between(&self, since: Instant, until: Instant) {
        self.with(|state| {
            state.blocked_since.get_or_insert(since);
            state.blocked_until = Some(until);
        });
    }

    /// Records that the client has accepted bytes, or that none wait for it. Returns `true` if bytes waited.
    pub(crate) fn accept(&self) -> bool {
        self.with(|state| {
            let now = Instant::now();
            let pause = state.blocked_for(now);
            if let Some(pause) = pause {
                state.pause = (state.pause - state.pause / 8).max(pause).min(MAX_PAUSE);
            }
            state.accepted_at = Some(now);
            (state.blocked_since, state.blocked_until) = (None, None);
            pause.is_some()
        })
    }

    /// Records that the front end sends nothing to the client before this time.
    pub(crate) fn expect_at(&self, time: Instant) {
        self.with(|state| state.accepted_at = state.accepted_at.max(Some(time)));
    }

    /// Returns the time since which the client accepts no bytes. Returns `None` if it does, or if none wait.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.with(|state| state.blocked_since)
    }

    /// Returns `true` if the client is known to have accepted no bytes for this time.
    pub(crate) fn is_blocked_for(&self, time: Duration, now: Instant) -> bool {
        self.with(|state| state.blocked_for(now).is_some_and(|blocked| blocked >= time))
    }

    /// Returns the last time at which the client has accepted bytes, or a later one if the front end sends nothing before.
    pub(crate) fn accepted_at(&self) -> Option<Instant> {
        self.with(|state| state.accepted_at)
    }

    /// Returns the longest of the latest pauses after which the client read again: it may pause as long once more.
    pub(crate) fn pause(&self) -> Duration {
        self.with(|state| state.pause)
    }

    fn with<T>(&self, with: impl FnOnce(&mut ReadTimes) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn report_says_nothing_about_the_time_after_it() {
        let (reading, start) = (ReadProgress::default(), Instant::now());
        let [second, minute] = [1, 60].map(Duration::from_secs);
        reading.block_between(start, start + second);
        assert!(reading.is_blocked_for(second, start + minute));
        assert!(!reading.is_blocked_for(second * 2, start + minute));
        reading.block_between(start + second, start + second * 2);
        assert!(reading.is_blocked_for(second * 2, start + minute));
        assert!(reading.accept());
        assert!(!reading.is_blocked_for(Duration::ZERO, start + minute));
        reading.block();
        assert!(reading.is_blocked_for(second * 50, start + minute));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_of_a_slow_reader_are_remembered_for_a_while() {
        let reading = ReadProgress::default();
        reading.block();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(reading.pause(), Duration::ZERO);
        reading.accept();
        assert_eq!(reading.pause(), MAX_PAUSE);
        reading.accept();
        assert_eq!(reading.pause(), MAX_PAUSE);
        for _ in 0..100 {
            reading.block();
            reading.accept();
        }
        assert!(reading.pause() < Duration::from_millis(1));
    }
}
