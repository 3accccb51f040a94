//! The queue of received events, bounded in messages and in bytes.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use brubeck_sockets::{ListenerGuard, ListenerHandle};
use tokio::sync::{Semaphore, mpsc};

/// The receiving end of a socket, bounded in messages and in bytes.
///
/// While the queue is full, the socket is read no further, which applies backpressure to the peer. Dropping the receiver closes
/// the socket.
#[derive(Debug)]
pub struct EventReceiver<T> {
    queue: mpsc::Receiver<(T, usize)>,
    shared: Arc<EventQueueState<T>>,
    /// Closed when the receiver is dropped. The task of the socket would do it later.
    listeners: Vec<ListenerGuard>,
}

/// The state that both ends of an event queue share.
struct EventQueueState<T> {
    /// Remaining capacity in bytes.
    byte_budget: Semaphore,
    handler: OnceLock<EventHandler<T>>,
    /// Preserves the order of events while a handler is being set.
    order: Mutex<()>,
}

type EventHandler<T> = Box<dyn Fn(T) + Send + Sync>;

impl<T> fmt::Debug for EventQueueState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shared = f.debug_struct("EventQueueState");
        shared
            .field("byte_budget", &self.byte_budget)
            .finish_non_exhaustive()
    }
}

impl<T> EventReceiver<T> {
    /// Waits for the next event. Returns `None` once the socket is closed and all events were received. This method is cancel
    /// safe.
    pub async fn recv(&mut self) -> Option<T> {
        let received = self.queue.recv().await;
        self.release(received)
    }

    /// Returns the next event if one is queued.
    pub fn try_recv(&mut self) -> Option<T> {
        let received = self.queue.try_recv().ok();
        self.release(received)
    }

    /// Polls for the next event, as [`recv`](Self::recv) does.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let received = ready!(self.queue.poll_recv(cx));
        Poll::Ready(self.release(received))
    }

    /// Calls `handler` for each event from now on, on the task that reads the connection.
    ///
    /// Events that are already queued are passed to `handler` before this method returns. The events of one connection keep
    /// their order, but the connections of a server may call `handler` concurrently.
    ///
    /// This saves a queue operation and a wake-up per event. The limits of the queue no longer apply: `handler` must not
    /// block, and must limit its own memory. Keep the receiver, because dropping it still closes the socket. Only the first
    /// handler is used; later calls have no effect.
    pub fn set_handler(&mut self, handler: impl Fn(T) + Send + Sync + 'static) {
        let shared = self.shared.clone();
        let _order = shared.order.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(event) = self.try_recv() {
            handler(event);
        }
        let _ = shared.handler.set(Box::new(handler));
    }

    /// Closes a listener when the receiver is dropped, before the drop returns. Its endpoint is free then.
    pub fn close_with(&mut self, listener: &ListenerHandle) {
        self.listeners.push(listener.guard());
    }

    /// Returns the bytes of a received event to the budget.
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
    shared: Arc<EventQueueState<T>>,
}

impl<T> Clone for EventSender<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            shared: self.shared.clone(),
        }
    }
}

/// Creates a queue with a capacity of `messages` events and `bytes` bytes, at least 1 each. An event of any size is added as
/// long as some space is left.
pub fn event_queue<T>(messages: usize, bytes: usize) -> (EventSender<T>, EventReceiver<T>) {
    // `mpsc::channel` panics outside of this range.
    let (sender, receiver) = mpsc::channel(messages.clamp(1, Semaphore::MAX_PERMITS));
    let shared = Arc::new(EventQueueState {
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
            listeners: Vec::new(),
        },
    )
}

impl<T> EventSender<T> {
    /// Waits for space for one event. Returns `None` if the receiver was dropped. This method is cancel safe.
    ///
    /// Reserve space *before* reading the socket, because a message that was read cannot be put back.
    #[inline]
    pub async fn reserve(&self) -> Option<EventPermit<'_, T>> {
        if self.shared.handler.get().is_some() {
            return self.try_reserve();
        }
        let slot = self.queue.reserve().await.ok()?;
        if self.shared.byte_budget.available_permits() == 0 {
            // Wait for one byte and return it immediately: the size of the event is not known yet.
            self.shared.byte_budget.acquire().await.ok()?.forget();
            self.shared.byte_budget.add_permits(1);
        }
        Some(self.permit(Some(slot)))
    }

    /// Reserves space for one event. Returns `None` if the queue is full or the receiver was dropped.
    #[inline]
    pub fn try_reserve(&self) -> Option<EventPermit<'_, T>> {
        if self.shared.handler.get().is_some() {
            return (!self.queue.is_closed()).then(|| self.permit(None));
        }
        let slot = self.queue.try_reserve().ok()?;
        // Dropping `slot` releases it if there are no bytes left.
        (self.shared.byte_budget.available_permits() > 0).then(|| self.permit(Some(slot)))
    }

    fn permit<'a>(&'a self, slot: Option<QueuePermit<'a, T>>) -> EventPermit<'a, T> {
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

type QueuePermit<'a, T> = mpsc::Permit<'a, (T, usize)>;

/// Reserved space for one event.
#[derive(Debug)]
pub struct EventPermit<'a, T> {
    /// A place in the queue. `None` if there is a handler.
    slot: Option<QueuePermit<'a, T>>,
    shared: &'a EventQueueState<T>,
}

impl<T> EventPermit<'_, T> {
    /// Sends an event whose message has this many `bytes`. The message may exceed the remaining capacity.
    #[inline]
    pub fn send(self, event: T, bytes: usize) {
        if let Some(handler) = self.shared.handler.get() {
            return handler(event);
        }
        // `set_handler` holds this lock while it empties the queue. An event that is queued afterwards would never be
        // received, so check again for a handler under the lock.
        let order = self.shared.order.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.shared.handler.get(), self.slot) {
            (Some(handler), _) => {
                drop(order);
                handler(event);
            }
            (None, Some(slot)) => {
                let charged = self.shared.byte_budget.forget_permits(bytes);
                slot.send((event, charged));
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
    fn queue_is_bounded_in_messages_and_in_bytes() {
        let (sender, mut receiver) = event_queue::<u8>(2, 100);
        sender.reserve().now_or_never().unwrap().unwrap().send(1, 300);
        assert!(
            sender.reserve().now_or_never().is_none(),
            "the limit of bytes is reached"
        );
        assert_eq!(receiver.try_recv(), Some(1));
        sender.reserve().now_or_never().unwrap().unwrap().send(2, 10);
        sender.reserve().now_or_never().unwrap().unwrap().send(3, 10);
        assert!(
            sender.reserve().now_or_never().is_none(),
            "the limit of messages is reached"
        );
        assert_eq!(
            (receiver.try_recv(), receiver.try_recv(), receiver.try_recv()),
            (Some(2), Some(3), None)
        );
        assert_eq!(receiver.shared.byte_budget.available_permits(), 100);
    }

    #[test]
    fn reserve_completes_when_the_receiver_is_dropped() {
        let (sender, receiver) = event_queue::<u8>(1, 1);
        sender.reserve().now_or_never().unwrap().unwrap().send(1, 1);
        drop(receiver);
        assert!(sender.reserve().now_or_never().unwrap().is_none());
    }

    #[test]
    fn handler_receives_queued_and_new_events_in_order() {
        let (sender, mut receiver) = event_queue::<u32>(8, 100);
        let send = |event| sender.reserve().now_or_never().unwrap().unwrap().send(event, 60);
        let before = sender.try_reserve().unwrap();
        send(1);
        let received = Arc::<Mutex<Vec<u32>>>::default();
        let sink = received.clone();
        receiver.set_handler(move |event| sink.lock().unwrap().push(event));
        before.send(2, 60);
        (3..100).for_each(send);
        assert_eq!(*received.lock().unwrap(), Vec::from_iter(1..100));
        assert_eq!(receiver.shared.byte_budget.available_permits(), 100);
        drop(receiver);
        assert!(sender.try_reserve().is_none());
        assert!(sender.reserve().now_or_never().unwrap().is_none());
    }

    #[test]
    fn setting_a_handler_neither_loses_nor_reorders_events() {
        for _ in 0..200 {
            let (sender, mut receiver) = event_queue::<u32>(1000, 1000);
            let received = Arc::<Mutex<Vec<u32>>>::default();
            let sink = received.clone();
            std::thread::scope(|scope| {
                scope.spawn(|| (0..50).for_each(|event| sender.try_reserve().unwrap().send(event, 1)));
                receiver.set_handler(move |event| sink.lock().unwrap().push(event));
            });
            assert_eq!(*received.lock().unwrap(), Vec::from_iter(0..50));
        }
    }
}
