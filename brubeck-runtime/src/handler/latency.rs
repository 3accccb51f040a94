//! Whether a handler is quick: then it runs where its request was read, and is not handed to a task of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// An answer that took no longer than this costs less than to hand it to another task.
const QUICK: Duration = Duration::from_micros(20);

/// An answer that took longer than this has kept others waiting, where it was not handed to another task.
const SLOW: Duration = Duration::from_millis(1);

/// So many quick answers, one after the other, say that the next one will be quick as well ...
const ENOUGH: u64 = 64;

/// ... and at most so many, where that was wrong too often.
const MOST: u64 = 1 << 20;

/// An answer between the two takes away what so many quick ones earned: it may have been the turn of another thread.
const PRICE: u64 = ENOUGH / 2;

/// After one that blocked its thread, so many may do the same.
const CAREFUL: u64 = 1 << 10;

/// So many times as many as were needed, without a slow one, earn trust back.
const TRUST: u64 = 64;

/// How quickly one handler has answered of late.
///
/// Each time that a quick one turns out slow, twice as many have to be quick before one is counted on again: a handler
/// that is slow now and then is soon taken for a slow one. Threads that count at once may lose a count, which harms nothing.
#[derive(Debug)]
pub(crate) struct Quickness {
    /// Quick answers, one after the other.
    streak: AtomicU64,
    needed: AtomicU64,
    /// So many answers more may block their thread.
    careful: AtomicU64,
}

impl Quickness {
    pub(crate) const fn new() -> Quickness {
        Quickness {
            streak: AtomicU64::new(0),
            needed: AtomicU64::new(ENOUGH),
            careful: AtomicU64::new(0),
        }
    }

    /// Whether the next answer will be quick, as far as can be told.
    pub(crate) fn is_quick(&self) -> bool {
        self.streak.load(Relaxed) >= self.needed.load(Relaxed)
    }

    /// An answer took so long; `None` where it was never finished.
    pub(crate) fn learn(&self, took: Option<Duration>) {
        let (streak, needed) = (self.streak.load(Relaxed), self.needed.load(Relaxed));
        let careful = self.careful.load(Relaxed);
        if careful > 0 {
            self.careful.store(careful - 1, Relaxed);
        }
        if took.is_some_and(|took| took <= QUICK) {
            self.streak.store(streak.saturating_add(1), Relaxed);
            if needed > ENOUGH && streak >= needed.saturating_mul(TRUST) {
                self.needed.store(needed / 2, Relaxed);
                self.streak.store(needed, Relaxed);
            }
            return;
        }
        let is_slow = took.is_none_or(|took| took > SLOW);
        if streak >= needed && took.is_some() && is_slow {
            self.needed.store((needed * 2).min(MOST), Relaxed);
        }
        let left = match is_slow || streak < needed {
            true => 0,
            false => streak.min(needed + ENOUGH) - PRICE,
        };
        self.streak.store(left, Relaxed);
    }
}

/// One answer that is timed, from the first moment at which somebody works on it.
#[derive(Debug)]
pub(crate) struct Timed {
    quickness: Arc<Quickness>,
    began: Option<Instant>,
    ended: bool,
}

impl Timed {
    pub(crate) fn new(quickness: &Arc<Quickness>) -> Timed {
        Timed {
            quickness: quickness.clone(),
            began: None,
            ended: false,
        }
    }

    /// Whether it will be there quickly, as far as can be told.
    pub(crate) fn is_quick(&self) -> bool {
        self.quickness.is_quick()
    }

    /// Polls for it. A handler that keeps its thread is remembered.
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        let polled = poll();
        let end = Instant::now();
        if end - now > SLOW {
            self.quickness.careful.store(CAREFUL, Relaxed);
        }
        if polled.is_ready() {
            self.ended = true;
            self.quickness.learn(Some(end - began));
        }
        polled
    }

    /// Where its handler blocked its thread of late: has another thread woken, that looks after everything else meanwhile.
    ///
    /// While it works, a thread of the runtime watches no sockets, and one that is asleep does not know that it should.
    pub(crate) async fn wake_others(&self) {
        let mut first = self.quickness.careful.load(Relaxed) > 0;
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

impl Drop for Timed {
    fn drop(&mut self) {
        if !self.ended {
            self.quickness.learn(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(quickness: &Quickness, times: u64, took: Duration) {
        (0..times).for_each(|_| quickness.learn(Some(took)));
    }

    #[test]
    fn a_handler_is_quick_once_it_was_often_enough_and_not_after_it_was_not() {
        let quickness = Quickness::new();
        learn(&quickness, ENOUGH - 1, QUICK);
        assert!(!quickness.is_quick());
        learn(&quickness, 1, QUICK);
        assert!(quickness.is_quick());
        quickness.learn(Some(SLOW * 2));
        assert!(!quickness.is_quick());
        learn(&quickness, ENOUGH * 2, QUICK);
        assert!(quickness.is_quick());
        quickness.learn(None);
        assert!(!quickness.is_quick(), "who knows how long it would have taken");
    }

    #[test]
    fn an_answer_that_never_comes_is_not_quick() {
        let quickness = Arc::new(Quickness::new());
        learn(&quickness, ENOUGH, QUICK);
        let mut timed = Timed::new(&quickness);
        assert!(timed.is_quick());
        assert!(timed.poll(|| Poll::<()>::Pending).is_pending());
        assert!(quickness.is_quick());
        drop(timed);
        assert!(!quickness.is_quick());
    }

    #[tokio::test]
    async fn others_are_woken_for_a_handler_that_blocked_its_thread() {
        let quickness = Arc::new(Quickness::new());
        let wakes = || {
            let timed = Timed::new(&quickness);
            async move { futures_util::poll!(std::pin::pin!(timed.wake_others())).is_pending() }
        };
        assert!(!wakes().await);
        let mut timed = Timed::new(&quickness);
        let blocks = || {
            std::thread::sleep(SLOW * 2);
            Poll::Ready("slow")
        };
        assert!(timed.poll(blocks).is_ready());
        assert!(wakes().await);
        learn(&quickness, CAREFUL, QUICK);
        assert!(!wakes().await);
    }

    #[test]
    fn one_that_is_slow_now_and_then_is_soon_not_counted_on() {
        let quickness = Quickness::new();
        let mut held_up = 0;
        for _ in 0..10_000 {
            learn(&quickness, 999, QUICK);
            held_up += u64::from(quickness.is_quick());
            quickness.learn(Some(SLOW * 2));
        }
        assert_eq!(held_up, 4, "of 10,000 slow ones");
    }

    #[test]
    fn one_that_takes_longer_now_and_then_is_counted_on_and_one_that_often_does_is_not() {
        let trusted = |apart: u64| {
            let quickness = Quickness::new();
            let mut trusted = 0;
            for _ in 0..1_000 {
                learn(&quickness, apart, QUICK);
                trusted += u64::from(quickness.is_quick());
                quickness.learn(Some(QUICK * 2));
            }
            trusted
        };
        assert_eq!(trusted(100), 1_000);
        assert_eq!(trusted(20), 0);
    }

    #[test]
    fn trust_comes_back() {
        let quickness = Quickness::new();
        for times in 0..6 {
            learn(&quickness, ENOUGH << times, QUICK);
            quickness.learn(Some(SLOW * 2));
        }
        learn(&quickness, ENOUGH, QUICK);
        assert!(!quickness.is_quick());
        learn(&quickness, (ENOUGH << 7) * TRUST, QUICK);
        quickness.learn(None);
        learn(&quickness, ENOUGH, QUICK);
        assert!(quickness.is_quick());
    }
}
