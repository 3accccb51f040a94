//! The queue of received events, bounded in messages and in bytes.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::{Semaphore, mpsc};

/// The receiving end of a socket.
///
/// It is bounded in messages and in bytes. While it is full, the socket is not read, which slows the peer down. Dropping
/// it closes the socket.
#[derive(Debug)]
pub struct EventReceiver<T> {
    queue: mpsc::Receiver<(T, usize)>,
    shared: Arc<Shared<T>>,
}

/// State of both ends.
struct Shared<T> {
    /// Bytes that may still be queued.
    byte_budget: Semaphore,
    handler: OnceLock<Handler<T>>,
    /// Keeps the order of events while a handler is being set.
    order: Mutex<()>,
}

type Handler<T> = Box<dyn Fn(T) + Send + Sync>;

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shared = f.debug_struct("Shared");
        shared
            .field("byte_budget", &self.byte_budget)
            .finish_non_exhaustive()
    }
}

impl<T> EventReceiver<T> {
    /// Waits for the next event. Returns `None` once the socket is closed and every event was received. Cancel safe.
    pub async fn recv(&mut self) -> Option<T> {
        let received = self.queue.recv().await;
        self.release(received)
    }

    /// Returns the next event if there is one now.
    pub fn try_recv(&mut self) -> Option<T> {
        let received = self.queue.try_recv().ok();
        self.release(received)
    }

    /// Polls for the next event; `None` as in [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let received = ready!(self.queue.poll_recv(cx));
        Poll::Ready(self.release(received))
    }

    /// Passes each event to `handler` from now on, in order, on the task that reads the socket.
    ///
    /// This saves a queue and a wake-up per event. The queue bounds nothing then: `handler` must not block, and must limit
    /// what it keeps. Keep the receiver, because dropping it still closes the socket. There is one handler; a second one
    /// is ignored.
    pub fn set_handler(&mut self, handler: impl Fn(T) + Send + Sync + 'static) {
        let shared = self.shared.clone();
        let _order = shared.order.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(event) = self.try_recv() {
            handler(event);
        }
        let _ = shared.handler.set(Box::new(handler));
    }

    #[inline]
    fn release(&self, received: Option<(T, usize)>) -> Option<T> {
        let (event, bytes) = received?;
        self.shared.byte_budget.add_permits(bytes);
        Some(event)
    }
}

impl<T> Drop for EventReceiver<T> {
    fn drop(&mut self) {
        self.shared.byte_budget.close();
    }
}

/// The sending end of an [`EventReceiver`], for the task that reads a socket.
#[derive(Debug)]
pub struct EventSender<T> {
    queue: mpsc::Sender<(T, usize)>,
    shared: Arc<Shared<T>>,
}

impl<T> Clone for EventSender<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            shared: self.shared.clone(),
        }
    }
}

/// Creates a queue of at most `messages` events, which accepts another one only while fewer than `bytes` are queued.
pub fn event_queue<T>(messages: usize, bytes: usize) -> (EventSender<T>, EventReceiver<T>) {
    let (sender, receiver) = mpsc::channel(messages.max(1));
    let shared = Arc::new(Shared {
        byte_budget: Semaphore::new(bytes.clamp(1, Semaphore::MAX_PERMITS / 2)),
        handler: OnceLock::new(),
        order: Mutex::new(()),
    });
    (
        EventSender {
            queue: sender,
            shared: shared.clone(),
        },
        EventReceiver {
            queue: receiver,
            shared,
        },
    )
}

impl<T> EventSender<T> {
    /// Waits for space for one event. Returns `None` if the receiver was dropped. Cancel safe.
    ///
    /// Reserve space *before* reading the socket: what was read cannot be put back.
    #[inline]
    pub async fn reserve(&self) -> Option<EventPermit<'_, T>> {
        if self.shared.handler.get().is_some() {
            return self.try_reserve();
        }
        let slot = self.queue.reserve().await.ok()?;
        if self.shared.byte_budget.available_permits() == 0 {
            self.shared.byte_budget.acquire().await.ok()?.forget();
            self.shared.byte_budget.add_permits(1);
        }
        Some(self.permit(Some(slot)))
    }

    /// Reserves space for one event if there is some now.
    #[inline]
    pub fn try_reserve(&self) -> Option<EventPermit<'_, T>> {
        if self.shared.handler.get().is_some() {
            return (!self.queue.is_closed()).then(|| self.permit(None));
        }
        let slot = self.queue.try_reserve().ok()?;
        (self.shared.byte_budget.available_permits() > 0).then(|| self.permit(Some(slot)))
    }

    fn permit<'a>(&'a self, slot: Option<Slot<'a, T>>) -> EventPermit<'a, T> {
        EventPermit {
            slot,
            shared: &self.shared,
        }
    }

    /// Waits until the receiver is dropped.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

type Slot<'a, T> = mpsc::Permit<'a, (T, usize)>;

/// Space for one event.
#[derive(Debug)]
pub struct EventPermit<'a, T> {
    /// A place in the queue; `None` if there is a handler.
    slot: Option<Slot<'a, T>>,
    shared: &'a Shared<T>,
}

impl<T> EventPermit<'_, T> {
    /// Sends the event, whose message has this many bytes. They may exceed the rest of the budget.
    #[inline]
    pub fn send(self, event: T, bytes: usize) {
        if let Some(handler) = self.shared.handler.get() {
            return handler(event);
        }
        // `set_handler` holds this lock while it empties the queue. An event that is queued after that would never be
        // received, so the handler is looked up again under the lock.
        let order = self.shared.order.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.shared.handler.get(), self.slot) {
            (Some(handler), _) => {
                drop(order);
                handler(event);
            }
            (None, Some(slot)) => {
                let paid = self.shared.byte_budget.forget_permits(bytes);
                slot.send((event, paid));
            }
            // A permit without a slot exists only if there is a handler, and handlers are never removed.
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
        let (sender, mut receiver) = event_queue::<u8>(2, 100);
        sender.reserve().now_or_never().unwrap().unwrap().send(1, 300);
        assert!(sender.reserve().now_or_never().is_none(), "no bytes left");
        assert_eq!(receiver.try_recv(), Some(1));
        sender.reserve().now_or_never().unwrap().unwrap().send(2, 10);
        sender.reserve().now_or_never().unwrap().unwrap().send(3, 10);
        assert!(sender.reserve().now_or_never().is_none(), "no message left");
        assert_eq!(
            (receiver.try_recv(), receiver.try_recv(), receiver.try_recv()),
            (Some(2), Some(3), None)
        );
        assert_eq!(receiver.shared.byte_budget.available_permits(), 100);
    }

    #[test]
    fn a_waiting_sender_notices_that_the_receiver_is_dropped() {
        let (sender, receiver) = event_queue::<u8>(1, 1);
        sender.reserve().now_or_never().unwrap().unwrap().send(1, 1);
        drop(receiver);
        assert!(sender.reserve().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_handler_gets_every_event_in_order_without_waiting() {
        let (sender, mut receiver) = event_queue::<u32>(8, 100);
        let send = |event| sender.reserve().now_or_never().unwrap().unwrap().send(event, 60);
        let before = sender.try_reserve().unwrap();
        send(1);
        let taken = Arc::<Mutex<Vec<u32>>>::default();
        let handled = taken.clone();
        receiver.set_handler(move |event| handled.lock().unwrap().push(event));
        before.send(2, 60);
        (3..100).for_each(send);
        assert_eq!(*taken.lock().unwrap(), Vec::from_iter(1..100));
        assert_eq!(receiver.shared.byte_budget.available_permits(), 100);
        drop(receiver);
        assert!(sender.try_reserve().is_none());
        assert!(sender.reserve().now_or_never().unwrap().is_none());
    }

    #[test]
    fn no_event_is_lost_or_reordered_when_a_handler_is_set() {
        for _ in 0..200 {
            let (sender, mut receiver) = event_queue::<u32>(1000, 1000);
            let taken = Arc::<Mutex<Vec<u32>>>::default();
            let handled = taken.clone();
            std::thread::scope(|scope| {
                scope.spawn(|| (0..50).for_each(|event| sender.try_reserve().unwrap().send(event, 1)));
                receiver.set_handler(move |event| handled.lock().unwrap().push(event));
            });
            assert_eq!(*taken.lock().unwrap(), Vec::from_iter(0..50));
        }
    }
}
