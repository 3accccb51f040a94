//! The way in: a queue bounded in messages and in bytes, or straight to whoever takes what comes.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::{Semaphore, mpsc};

/// The receiving end of a link. Bounded in messages and in bytes: when it is full the socket is not read, so that the
/// peer has to wait.
///
/// Dropping it closes the link.
#[derive(Debug)]
pub struct Inbox<T> {
    queue: mpsc::Receiver<(T, usize)>,
    common: Arc<Common<T>>,
}

/// What both ends know.
struct Common<T> {
    /// Bytes that may still come.
    budget: Semaphore,
    taker: OnceLock<Taker<T>>,
    /// Keeps the order of events while a taker begins.
    order: Mutex<()>,
}

type Taker<T> = Box<dyn Fn(T) + Send + Sync>;

impl<T> fmt::Debug for Common<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut common = f.debug_struct("Common");
        common.field("budget", &self.budget).finish_non_exhaustive()
    }
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

    /// Has every event taken as it comes, in order and by the task that has the socket, for as long as the inbox is there.
    /// No queue bounds what comes then: `take` must not wait, nor keep more than it may.
    pub fn hand_to(&mut self, take: impl Fn(T) + Send + Sync + 'static) {
        let common = self.common.clone();
        let _order = common.order.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(event) = self.try_recv() {
            take(event);
        }
        // There is one taker: the second one would have nothing to do.
        let _ = common.taker.set(Box::new(take));
    }

    /// Polls for the next event; `None` as in [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let taken = ready!(self.queue.poll_recv(cx));
        Poll::Ready(self.took(taken))
    }

    fn took(&self, taken: Option<(T, usize)>) -> Option<T> {
        let (item, bytes) = taken?;
        self.common.budget.add_permits(bytes);
        Some(item)
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.common.budget.close();
    }
}

/// The filling end of an [`Inbox`], for whoever implements a transport.
#[derive(Debug)]
pub struct Inlet<T> {
    queue: mpsc::Sender<(T, usize)>,
    common: Arc<Common<T>>,
}

impl<T> Clone for Inlet<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            common: self.common.clone(),
        }
    }
}

/// A queue of at most `messages` events, which takes another one only while less than `bytes` wait in it.
pub fn inbox<T>(messages: usize, bytes: usize) -> (Inlet<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(messages.max(1));
    let common = Arc::new(Common {
        budget: Semaphore::new(bytes.clamp(1, Semaphore::MAX_PERMITS / 2)),
        taker: OnceLock::new(),
        order: Mutex::new(()),
    });
    (
        Inlet {
            queue: sender,
            common: common.clone(),
        },
        Inbox {
            queue: receiver,
            common,
        },
    )
}

impl<T> Inlet<T> {
    /// Waits until one more event may come in; `None` when the inbox was dropped.
    ///
    /// Asked *before* the socket is read, because what was read cannot be put back.
    pub async fn room(&self) -> Option<Room<'_, T>> {
        if self.common.taker.get().is_some() {
            return self.room_now();
        }
        let slot = self.queue.reserve().await.ok()?;
        if self.common.budget.available_permits() == 0 {
            self.common.budget.acquire().await.ok()?.forget();
            self.common.budget.add_permits(1);
        }
        Some(self.room_in(Some(slot)))
    }

    /// The same if there is room now.
    pub fn room_now(&self) -> Option<Room<'_, T>> {
        if self.common.taker.get().is_some() {
            return (!self.queue.is_closed()).then(|| self.room_in(None));
        }
        let slot = self.queue.try_reserve().ok()?;
        (self.common.budget.available_permits() > 0).then(|| self.room_in(Some(slot)))
    }

    fn room_in<'a>(&'a self, slot: Option<Slot<'a, T>>) -> Room<'a, T> {
        Room {
            slot,
            common: &self.common,
        }
    }

    /// Waits until the inbox is dropped.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

type Slot<'a, T> = mpsc::Permit<'a, (T, usize)>;

/// Room for one event.
pub struct Room<'a, T> {
    /// In the queue; `None` where there is a taker.
    slot: Option<Slot<'a, T>>,
    common: &'a Common<T>,
}

impl<T> Room<'_, T> {
    /// Puts the event in; one event may be larger than what is left of the budget.
    pub fn put(self, item: T, bytes: usize) {
        if let Some(take) = self.common.taker.get() {
            return take(item);
        }
        let order = self.common.order.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.common.taker.get(), self.slot) {
            (Some(take), _) => {
                drop(order);
                take(item);
            }
            (None, Some(slot)) => {
                let paid = self.common.budget.forget_permits(bytes);
                slot.send((item, paid));
            }
            // Room without a slot is given only where there is a taker.
            (None, None) => {}
        }
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
        assert_eq!(inbox.common.budget.available_permits(), 100);
    }

    #[test]
    fn a_dropped_inbox_is_noticed_by_one_who_waits() {
        let (inlet, inbox) = inbox::<u8>(1, 1);
        inlet.room().now_or_never().unwrap().unwrap().put(1, 1);
        drop(inbox);
        assert!(inlet.room().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_taker_gets_every_event_in_order_and_keeps_nobody_waiting() {
        let (inlet, mut inbox) = inbox::<u32>(8, 100);
        let put = |event| inlet.room().now_or_never().unwrap().unwrap().put(event, 60);
        let before = inlet.room_now().unwrap();
        put(1);
        let taken = Arc::<Mutex<Vec<u32>>>::default();
        let takes = taken.clone();
        inbox.hand_to(move |event| takes.lock().unwrap().push(event));
        before.put(2, 60);
        (3..100).for_each(put);
        assert_eq!(*taken.lock().unwrap(), Vec::from_iter(1..100));
        assert_eq!(inbox.common.budget.available_permits(), 100);
        drop(inbox);
        assert!(inlet.room_now().is_none());
        assert!(inlet.room().now_or_never().unwrap().is_none());
    }

    #[test]
    fn no_event_is_lost_or_overtaken_where_a_taker_begins() {
        for _ in 0..200 {
            let (inlet, mut inbox) = inbox::<u32>(1000, 1000);
            let taken = Arc::<Mutex<Vec<u32>>>::default();
            let takes = taken.clone();
            std::thread::scope(|scope| {
                scope.spawn(|| (0..50).for_each(|event| inlet.room_now().unwrap().put(event, 1)));
                inbox.hand_to(move |event| takes.lock().unwrap().push(event));
            });
            assert_eq!(*taken.lock().unwrap(), Vec::from_iter(0..50));
        }
    }
}
