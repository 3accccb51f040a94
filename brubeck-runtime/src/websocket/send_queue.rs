//! The frames that wait for one client of the embedded server: those of its handler, and those of broadcasts, in one order.

use super::{
    BroadcastEncoding, Close, Closed, ReadPosition, ReadProgress, StoredMessage, WaitingMessages,
    next_socket_id,
};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Limit for frames of the handler that wait for the client, in bytes. Sending waits if there are more.
const SEND_BUDGET: usize = 256 << 10;
/// The least that a frame takes of [`SEND_BUDGET`], in bytes. Bounds the number of tiny frames.
const MIN_SEND_COST: usize = 256;

/// The frames that wait for one client. The sending sides of its socket and broadcasts add frames, and the driver of its connection takes
/// them.
#[derive(Debug)]
pub(crate) struct SendQueue {
    id: u64,
    encoding: BroadcastEncoding,
    queue: Mutex<Queue>,
    /// Notified if a frame was added, or the client was cut off.
    changed: Notify,
    send_budget: Arc<Semaphore>,
    /// Has no permits. It is closed when the connection is, which wakes the tasks that wait for that.
    disconnected: Semaphore,
    reading: Arc<ReadProgress>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// The number of [`Item::Broadcast`]s.
    broadcasts: usize,
    /// `true` once nothing may be added, because the socket is closing.
    is_closed: bool,
    is_cut_off: bool,
}

#[derive(Debug)]
enum Item {
    Frame(
        Bytes,
        #[allow(dead_code, reason = "releases its part of the budget when the frame is taken")]
        OwnedSemaphorePermit,
    ),
    Broadcast(WaitingMessages),
    Close(Close),
}

/// A frame for the client, or the end of the frames.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Frame(Bytes),
    /// A frame of a broadcast.
    Broadcast(Bytes),
    /// The handler closes the connection. There are no frames after it.
    Close(Close),
    /// The client does not read, and a broadcast has found that too much waits for it.
    CutOff,
}

impl SendQueue {
    pub(crate) fn new(encoding: BroadcastEncoding) -> SendQueue {
        SendQueue {
            id: next_socket_id(),
            encoding,
            queue: Mutex::default(),
            changed: Notify::new(),
            send_budget: Arc::new(Semaphore::new(SEND_BUDGET)),
            disconnected: Semaphore::new(0),
            reading: Arc::default(),
        }
    }

    /// Returns the number that identifies the socket in this process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn encoding(&self) -> BroadcastEncoding {
        self.encoding
    }

    pub(crate) fn reading(&self) -> &Arc<ReadProgress> {
        &self.reading
    }

    /// Adds a frame of the handler. Waits while too many wait for the client.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is closed or closing.
    pub(crate) async fn send(&self, frame: Bytes) -> Result<(), Closed> {
        // A frame that is larger than the budget takes all of it.
        let cost = frame.len().clamp(MIN_SEND_COST, SEND_BUDGET) as u32;
        let permit = self.send_budget.clone().acquire_many_owned(cost).await;
        let permit = permit.map_err(|_| Closed)?;
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(Closed);
        }
        queue.items.push_back(Item::Frame(frame, permit));
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Adds a message of a broadcast, unless the socket is closing. Does not wait: the broadcast limits what waits.
    pub(crate) fn push_broadcast(&self, message: &Arc<StoredMessage>, position: &Arc<ReadPosition>) {
        let mut queue = self.queue();
        if queue.is_closed || queue.is_cut_off {
            return position.advance(message);
        }
        let is_added = match queue.items.back_mut() {
            Some(Item::Broadcast(waiting)) => waiting.extend(message, position),
            _ => false,
        };
        if !is_added {
            let waiting = WaitingMessages::new(message, self.encoding, position);
            queue.items.push_back(Item::Broadcast(waiting));
            queue.broadcasts += 1;
        }
        drop(queue);
        self.changed.notify_one();
    }

    /// Closes the socket after the frames that were added before. From now on sending fails.
    pub(crate) fn close(&self, close: Close) {
        let mut queue = self.queue();
        if queue.is_closed {
            return;
        }
        queue.is_closed = true;
        queue.items.push_back(Item::Close(close));
        drop(queue);
        self.send_budget.close();
        self.changed.notify_one();
    }

    /// Makes the driver disconnect the client, because too much waits for it.
    pub(crate) fn cut_off(&self) {
        self.queue().is_cut_off = true;
        self.changed.notify_one();
    }

    /// Refuses further frames, and drops those that wait.
    pub(crate) fn clear(&self) {
        let mut queue = self.queue();
        queue.is_closed = true;
        let items = std::mem::take(&mut queue.items);
        queue.broadcasts = 0;
        drop(queue);
        self.send_budget.close();
        drop(items);
    }

    /// Drops everything, and completes [`disconnected`](Self::disconnected).
    pub(crate) fn disconnect(&self) {
        self.clear();
        self.disconnected.close();
        self.reading.accept();
    }

    /// Completes when the connection has ended.
    pub(crate) async fn disconnected(&self) {
        // Acquiring ends with an error when the connection is closed.
        drop(self.disconnected.acquire().await);
    }

    /// Takes frames until `take` returns `false`.
    pub(crate) fn take(&self, mut take: impl FnMut(Outgoing) -> bool) {
        if self.take_cut_off() {
            take(Outgoing::CutOff);
            return;
        }
        let mut queue = self.queue();
        while let Some(item) = queue.items.front_mut() {
            let outgoing = match item {
                Item::Broadcast(waiting) => waiting.take().map(Outgoing::Broadcast),
                Item::Frame(frame, _) => Some(Outgoing::Frame(std::mem::take(frame))),
                Item::Close(close) => Some(Outgoing::Close(close.clone())),
            };
            let is_last = match item {
                Item::Broadcast(waiting) => waiting.next_size().is_none(),
                Item::Frame(..) | Item::Close(_) => true,
            };
            if is_last && let Some(Item::Broadcast(_)) = queue.items.pop_front() {
                queue.broadcasts -= 1;
            }
            if let Some(outgoing) = outgoing
                && !take(outgoing)
            {
                return;
            }
        }
    }

    /// Returns `true` if a broadcast has cut off the client since the last call.
    pub(crate) fn take_cut_off(&self) -> bool {
        std::mem::take(&mut self.queue().is_cut_off)
    }

    /// Returns `true` if messages of a broadcast wait.
    pub(crate) fn has_broadcasts(&self) -> bool {
        self.queue().broadcasts > 0
    }

    /// Returns the number of messages of broadcasts that wait.
    #[cfg(test)]
    pub(crate) fn waiting_broadcasts(&self) -> usize {
        let queue = self.queue();
        let count = |item: &Item| match item {
            Item::Broadcast(waiting) => waiting.len(),
            Item::Frame(..) | Item::Close(_) => 0,
        };
        queue.items.iter().map(count).sum()
    }

    /// Completes when [`take`](Self::take) may find something. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
