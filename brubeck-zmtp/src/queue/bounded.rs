//! The send queue of one peer.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use super::message_size;
use crate::ServerLimits;

/// A queue with one consumer, bounded in messages and in bytes.
///
/// A message counts against the limits until it is [released](Self::release), after it was written. The limits therefore
/// include the messages in the write buffer of the consumer.
#[derive(Debug, Default)]
pub(crate) struct BoundedQueue {
    state: Mutex<QueueState>,
    disconnect: Notify,
    admitted: AtomicBool,
}

#[derive(Debug, Default)]
struct QueueState {
    messages: Vec<Vec<Bytes>>,
    /// Number of messages that are queued, or taken but not released.
    message_count: usize,
    /// Size of these messages, in bytes.
    byte_count: usize,
    closed: bool,
    consumer: Option<Waker>,
    /// `true` if a new message must wake the consumer. An awake consumer checks the queue before it sleeps.
    consumer_asleep: bool,
}

impl BoundedQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message. Drops it and returns `false` if it would exceed the limits. An empty queue accepts a message of any
    /// size.
    #[inline]
    pub(crate) fn push(&self, frames: Vec<Bytes>, limits: &ServerLimits) -> bool {
        let (mut state, size) = (self.lock(), message_size(&frames));
        let (messages, bytes) = (limits.peer_queue_messages, limits.peer_queue_bytes);
        if state.message_count > 0
            && (state.message_count >= messages || state.byte_count.saturating_add(size) > bytes)
        {
            return false;
        }
        state.message_count += 1;
        state.byte_count += size;
        state.messages.push(frames);
        wake_consumer(state);
        true
    }

    /// Closes the queue. [`take`](Self::take) returns 0 once the queue is empty.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake_consumer(state);
    }

    /// Admits the peer, and wakes the consumer.
    pub(crate) fn admit(&self) {
        self.admitted.store(true, Ordering::Release);
        wake_consumer(self.lock());
    }

    /// Returns whether the peer was admitted.
    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Acquire)
    }

    /// Marks the consumer as awake, so that messages from its own handlers do not wake it.
    #[inline]
    pub(crate) fn set_awake(&self) {
        self.lock().consumer_asleep = false;
    }

    /// Waits for messages and moves all of them into `taken`, which must be empty.
    ///
    /// Returns their number, which is 0 if the queue is closed and empty. This method is cancel safe.
    #[inline]
    pub(crate) async fn take(&self, taken: &mut Vec<Vec<Bytes>>) -> usize {
        poll_fn(|cx| self.poll_take(cx, taken)).await
    }

    fn poll_take(&self, cx: &mut Context<'_>, taken: &mut Vec<Vec<Bytes>>) -> Poll<usize> {
        let mut state = self.lock();
        if state.messages.is_empty() && !state.closed {
            match &mut state.consumer {
                Some(consumer) => consumer.clone_from(cx.waker()),
                consumer => *consumer = Some(cx.waker().clone()),
            }
            state.consumer_asleep = true;
            return Poll::Pending;
        }
        // Swapping keeps the capacity of both buffers in use.
        std::mem::swap(&mut state.messages, taken);
        Poll::Ready(taken.len())
    }

    /// Subtracts messages that have been written.
    #[inline]
    pub(crate) fn release(&self, messages: usize, bytes: usize) {
        let mut state = self.lock();
        state.message_count = state.message_count.saturating_sub(messages);
        state.byte_count = state.byte_count.saturating_sub(bytes);
    }

    /// Requests that the connection be closed immediately.
    pub(crate) fn disconnect(&self) {
        self.disconnect.notify_one();
    }

    /// Waits for a call of [`disconnect`](Self::disconnect).
    pub(crate) async fn disconnect_requested(&self) {
        self.disconnect.notified().await;
    }
}

/// Wakes the consumer if it is asleep. Unlocks first, so that the consumer does not have to wait for the lock.
fn wake_consumer(mut state: MutexGuard<'_, QueueState>) {
    let asleep = std::mem::take(&mut state.consumer_asleep);
    let consumer = if asleep { state.consumer.clone() } else { None };
    drop(state);
    if let Some(consumer) = consumer {
        consumer.wake();
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
    struct WakeCount(AtomicUsize);

    impl ArcWake for WakeCount {
        fn wake_by_ref(wakes: &Arc<Self>) {
            wakes.0.fetch_add(1, Relaxed);
        }
    }

    fn message(size: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![0; size])]
    }

    #[test]
    fn wakes_the_consumer_only_while_it_is_asleep() {
        let (queue, limits) = (BoundedQueue::default(), ServerLimits::default());
        let wakes = Arc::<WakeCount>::default();
        let (consumer, wake_count) = (waker(wakes.clone()), || wakes.0.load(Relaxed));
        let mut taken = Vec::new();
        let poll = |taken: &mut Vec<_>| queue.poll_take(&mut Context::from_waker(&consumer), taken);
        queue.push(message(1), &limits);
        assert_eq!(poll(&mut taken), Poll::Ready(1));
        taken.clear();
        assert!(poll(&mut taken).is_pending());
        queue.push(message(1), &limits);
        queue.push(message(1), &limits);
        assert_eq!((wake_count(), poll(&mut taken)), (1, Poll::Ready(2)));
        taken.clear();
        assert!(poll(&mut taken).is_pending());
        queue.set_awake();
        queue.push(message(1), &limits);
        assert_eq!((wake_count(), poll(&mut taken)), (1, Poll::Ready(1)));
        taken.clear();
        assert!(poll(&mut taken).is_pending());
        queue.close();
        assert_eq!((wake_count(), poll(&mut taken)), (2, Poll::Ready(0)));
    }

    #[test]
    fn taken_messages_count_against_the_limits_until_released() {
        let (queue, mut taken) = (BoundedQueue::default(), Vec::new());
        let limits = ServerLimits {
            peer_queue_bytes: 100,
            peer_queue_messages: 2,
            ..ServerLimits::default()
        };
        assert!(
            queue.push(message(1000), &limits),
            "an empty queue accepts any size"
        );
        assert!(!queue.push(message(1), &limits), "the limit of bytes is reached");
        assert_eq!(queue.take(&mut taken).now_or_never(), Some(1));
        assert!(
            !queue.push(message(1), &limits),
            "the taken message is not released"
        );
        queue.release(1, 1000);
        assert!(queue.push(message(1), &limits) && queue.push(message(1), &limits));
        assert!(
            !queue.push(message(1), &limits),
            "the limit of messages is reached"
        );
    }
}
