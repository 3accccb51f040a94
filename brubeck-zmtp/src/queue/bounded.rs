//! What waits for one peer, until the task of its connection takes it.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::Limits;
use crate::server::peers::size;

/// A queue that one task takes from. `Limits` bound it: what was taken counts until it has [left](Self::left).
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: Mutex<Waiting>,
    cut: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: Vec<Vec<Bytes>>,
    /// With those that were taken and have not left.
    count: usize,
    bytes: usize,
    /// Nothing more comes in.
    closed: bool,
    /// Who takes.
    taker: Option<Waker>,
    /// Whether the taker has to be woken. While it is awake it looks here before it sleeps again.
    asleep: bool,
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message; refuses if too much would wait. One message may be of any size.
    pub fn add(&self, frames: Vec<Bytes>, limits: &Limits) -> bool {
        let (mut waiting, size) = (self.lock(), size(&frames));
        let (messages, bytes) = (limits.queued_messages, limits.queued_bytes);
        if waiting.count > 0 && (waiting.count >= messages || waiting.bytes.saturating_add(size) > bytes) {
            return false;
        }
        waiting.count += 1;
        waiting.bytes += size;
        waiting.messages.push(frames);
        wake(waiting);
        true
    }

    /// Lets nothing more in.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        wake(waiting);
    }

    /// The taker is awake: what it sends to its own peer from now on wakes nobody.
    pub fn awake(&self) {
        self.lock().asleep = false;
    }

    /// Takes all that waits, into `taken`, which is empty. How many that are: 0 says that nothing more will come. Nothing is
    /// lost when the future is dropped.
    pub async fn take(&self, taken: &mut Vec<Vec<Bytes>>) -> usize {
        poll_fn(|cx| self.poll_take(cx, taken)).await
    }

    fn poll_take(&self, cx: &mut Context<'_>, taken: &mut Vec<Vec<Bytes>>) -> Poll<usize> {
        let mut waiting = self.lock();
        if waiting.messages.is_empty() && !waiting.closed {
            match &mut waiting.taker {
                Some(taker) => taker.clone_from(cx.waker()),
                taker => *taker = Some(cx.waker().clone()),
            }
            waiting.asleep = true;
            return Poll::Pending;
        }
        std::mem::swap(&mut waiting.messages, taken);
        Poll::Ready(taken.len())
    }

    /// Notes that the peer has taken so many messages with so many bytes.
    pub fn left(&self, messages: usize, bytes: usize) {
        let mut waiting = self.lock();
        waiting.count = waiting.count.saturating_sub(messages);
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }

    /// Has the peer cut off.
    pub fn cut(&self) {
        self.cut.notify_one();
    }

    /// Waits until the peer is to be cut off.
    pub async fn until_cut(&self) {
        self.cut.notified().await;
    }
}

fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let taker = match std::mem::take(&mut waiting.asleep) {
        true => waiting.taker.clone(),
        false => None,
    };
    drop(waiting);
    if let Some(taker) = taker {
        taker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::task::{ArcWake, waker};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl ArcWake for Woken {
        fn wake_by_ref(woken: &Arc<Self>) {
            woken.0.fetch_add(1, Relaxed);
        }
    }

    fn message(size: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![0; size])]
    }

    #[test]
    fn who_sleeps_is_woken_once_and_who_is_awake_is_not() {
        let (backlog, limits) = (Backlog::default(), Limits::default());
        let woken = Arc::<Woken>::default();
        let (this, times) = (waker(woken.clone()), || woken.0.load(Relaxed));
        let mut taken = Vec::new();
        let sleep = |taken: &mut Vec<_>| backlog.poll_take(&mut Context::from_waker(&this), taken);
        backlog.add(message(1), &limits);
        assert_eq!(sleep(&mut taken), Poll::Ready(1));
        taken.clear();
        assert!(sleep(&mut taken).is_pending());
        backlog.add(message(1), &limits);
        backlog.add(message(1), &limits);
        assert_eq!((times(), sleep(&mut taken)), (1, Poll::Ready(2)));
        taken.clear();
        assert!(sleep(&mut taken).is_pending());
        backlog.awake();
        backlog.add(message(1), &limits);
        assert_eq!((times(), sleep(&mut taken)), (1, Poll::Ready(1)));
        taken.clear();
        assert!(sleep(&mut taken).is_pending());
        backlog.close();
        assert_eq!((times(), sleep(&mut taken)), (2, Poll::Ready(0)));
    }

    #[test]
    fn what_is_taken_counts_until_it_has_left() {
        let (backlog, mut taken) = (Backlog::default(), Vec::new());
        let limits = Limits {
            queued_bytes: 100,
            queued_messages: 2,
            ..Limits::default()
        };
        assert!(backlog.add(message(1000), &limits), "one may be of any size");
        assert!(!backlog.add(message(1), &limits), "too many bytes");
        assert_eq!(backlog.take(&mut taken).now_or_never(), Some(1));
        assert!(!backlog.add(message(1), &limits), "it has not left");
        backlog.left(1, 1000);
        assert!(backlog.add(message(1), &limits) && backlog.add(message(1), &limits));
        assert!(!backlog.add(message(1), &limits), "too many messages");
    }
}
