//! The way in: a queue bounded in messages and in bytes.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{Semaphore, mpsc};

/// The receiving end of a link. Bounded in messages and in bytes: when it is full the socket is not read, so that the
/// peer has to wait.
///
/// Dropping it closes the link.
#[derive(Debug)]
pub struct Inbox<T> {
    queue: mpsc::Receiver<(T, usize)>,
    budget: Arc<Semaphore>,
}

impl<T> Inbox<T> {
    /// The next event, or `None` once the link is closed and everything was taken. Nothing is lost when the future is
    /// dropped.
    pub async fn recv(&mut self) -> Option<T> {
        let taken = self.queue.recv().await;
        self.took(taken)
    }

    /// The next event if one is there.
    pub fn try_recv(&mut self) -> Option<T> {
        let taken = self.queue.try_recv().ok();
        self.took(taken)
    }

    /// How many events are there.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Polls for the next event; `None` as in [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let taken = ready!(self.queue.poll_recv(cx));
        Poll::Ready(self.took(taken))
    }

    fn took(&self, taken: Option<(T, usize)>) -> Option<T> {
        let (item, bytes) = taken?;
        self.budget.add_permits(bytes);
        Some(item)
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.budget.close();
    }
}

/// The filling end of an [`Inbox`], for whoever implements a transport.
#[derive(Debug)]
pub(crate) struct Inlet<T> {
    queue: mpsc::Sender<(T, usize)>,
    budget: Arc<Semaphore>,
}

impl<T> Clone for Inlet<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            budget: self.budget.clone(),
        }
    }
}

/// A queue of at most `messages` events, which takes another one only while less than `bytes` wait in it.
pub(crate) fn inbox<T>(messages: usize, bytes: usize) -> (Inlet<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(messages.max(1));
    let budget = Arc::new(Semaphore::new(bytes.clamp(1, Semaphore::MAX_PERMITS / 2)));
    (
        Inlet {
            queue: sender,
            budget: budget.clone(),
        },
        Inbox {
            queue: receiver,
            budget,
        },
    )
}

impl<T> Inlet<T> {
    /// Waits until one more event may come in; `None` when the inbox was dropped.
    ///
    /// Asked *before* the socket is read, because what was read cannot be put back.
    pub(crate) async fn room(&self) -> Option<Room<'_, T>> {
        let slot = self.queue.reserve().await.ok()?;
        self.budget.acquire().await.ok()?.forget();
        self.budget.add_permits(1);
        Some(Room {
            slot,
            budget: &self.budget,
        })
    }

    /// The same if there is room now.
    pub(crate) fn room_now(&self) -> Option<Room<'_, T>> {
        let slot = self.queue.try_reserve().ok()?;
        (self.budget.available_permits() > 0).then_some(Room {
            slot,
            budget: &self.budget,
        })
    }

    /// Waits until the inbox is dropped.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }
}

/// Room for one event.
pub(crate) struct Room<'a, T> {
    slot: mpsc::Permit<'a, (T, usize)>,
    budget: &'a Semaphore,
}

impl<T> Room<'_, T> {
    /// Puts the event in; one event may be larger than what is left of the budget.
    pub(crate) fn put(self, item: T, bytes: usize) {
        let paid = self.budget.forget_permits(bytes);
        self.slot.send((item, paid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn bounded_in_messages_and_in_bytes() {
        let (inlet, mut inbox) = inbox::<u8>(2, 100);
        inlet.room().now_or_never().unwrap().unwrap().put(1, 300);
        assert!(inlet.room().now_or_never().is_none(), "no bytes left");
        assert_eq!(inbox.try_recv(), Some(1));
        inlet.room().now_or_never().unwrap().unwrap().put(2, 10);
        inlet.room().now_or_never().unwrap().unwrap().put(3, 10);
        assert!(inlet.room().now_or_never().is_none(), "no slot left");
        assert_eq!(
            (inbox.try_recv(), inbox.try_recv(), inbox.try_recv()),
            (Some(2), Some(3), None)
        );
        assert_eq!(inbox.budget.available_permits(), 100);
    }

    #[test]
    fn a_dropped_inbox_is_noticed_by_one_who_waits() {
        let (inlet, inbox) = inbox::<u8>(1, 1);
        inlet.room().now_or_never().unwrap().unwrap().put(1, 1);
        drop(inbox);
        assert!(inlet.room().now_or_never().unwrap().is_none());
    }
}
