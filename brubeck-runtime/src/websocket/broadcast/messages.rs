//! The messages of a broadcast that some members have not taken yet: a linked list in which each member has a position.
//!
//! Every message is encoded and stored once, whatever the number of members, and is freed when the last member has taken it.

use crate::websocket::{BroadcastEncoding, SocketMessage};
use bytes::Bytes;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Bytes that a message costs in addition to its content: the list, and the headers of its frames.
pub(super) const MESSAGE_OVERHEAD: usize = 128;

/// A message, and the one after it.
#[derive(Debug)]
pub(crate) struct StoredMessage {
    frames: EncodedMessage,
    /// The cost of this message and of all before it, in bytes. Identifies the message within its broadcast.
    end: u64,
    next: OnceLock<Arc<StoredMessage>>,
}

/// A message in the encodings that the members need.
#[derive(Debug, Default)]
pub(super) struct EncodedMessage([Option<Bytes>; BroadcastEncoding::ALL.len()]);

impl EncodedMessage {
    /// Adds an encoding, unless it is there.
    pub(super) fn add(&mut self, message: &SocketMessage, encoding: BroadcastEncoding) {
        if let Some(encoded) = self.0.get_mut(encoding as usize) {
            encoded.get_or_insert_with(|| encoding.encode(message));
        }
    }

    fn get(&self, encoding: BroadcastEncoding) -> Option<&Bytes> {
        self.0.get(encoding as usize)?.as_ref()
    }

    pub(super) fn cost(&self) -> u64 {
        let bytes: usize = self.0.iter().flatten().map(Bytes::len).sum();
        (bytes + MESSAGE_OVERHEAD) as u64
    }
}

impl StoredMessage {
    /// Creates the message that follows messages of `before` bytes, and links it to `previous`, if that still waits for a member.
    pub(super) fn append(
        frames: EncodedMessage,
        before: u64,
        previous: Option<Arc<StoredMessage>>,
    ) -> Arc<StoredMessage> {
        let message = Arc::new(StoredMessage {
            end: before + frames.cost(),
            frames,
            next: OnceLock::new(),
        });
        if let Some(previous) = previous {
            // Set once: a message is appended to the last one only.
            let _ = previous.next.set(message.clone());
        }
        message
    }

    /// Returns the bytes for a client with this encoding.
    pub(crate) fn frame(&self, encoding: BroadcastEncoding) -> Bytes {
        // The broadcast has added the encodings of all its members.
        self.frames.get(encoding).cloned().unwrap_or_default()
    }

    /// Returns the number of bytes for a client with this encoding.
    pub(crate) fn size(&self, encoding: BroadcastEncoding) -> usize {
        self.frames.get(encoding).map_or(0, Bytes::len)
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn start(&self) -> u64 {
        self.end - self.frames.cost()
    }
}

impl Drop for StoredMessage {
    fn drop(&mut self) {
        // One after the other: dropping a long list recursively would overflow the stack.
        let mut next = self.next.take();
        while let Some(message) = next {
            next = Arc::into_inner(message).and_then(|mut message| message.next.take());
        }
    }
}

/// The position of one member in the messages of one broadcast.
#[derive(Debug)]
pub(crate) struct ReadPosition {
    /// The [end](StoredMessage::end) of the last message that the member has taken.
    taken: AtomicU64,
    progress: Arc<DeliveryProgress>,
}

/// Wakes the senders that wait for members.
#[derive(Debug, Default)]
pub(super) struct DeliveryProgress {
    pub(super) is_awaited: AtomicBool,
    pub(super) changed: Notify,
}

impl ReadPosition {
    pub(super) fn new(taken: u64, progress: Arc<DeliveryProgress>) -> ReadPosition {
        ReadPosition {
            taken: AtomicU64::new(taken),
            progress,
        }
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Acquire)
    }

    /// Records that the member has taken a message, or will never take it.
    pub(crate) fn advance(&self, message: &StoredMessage) {
        self.advance_to(message.end);
    }

    fn advance_to(&self, end: u64) {
        self.taken.fetch_max(end, Release);
        if self.progress.is_awaited.load(Relaxed) && self.progress.is_awaited.swap(false, AcqRel) {
            self.progress.changed.notify_waiters();
        }
    }
}

/// Consecutive messages of one broadcast that wait for one client. They count as taken when they are dropped.
#[derive(Debug)]
pub(crate) struct WaitingMessages {
    next: Option<Arc<StoredMessage>>,
    end: u64,
    encoding: BroadcastEncoding,
    position: Arc<ReadPosition>,
}

impl WaitingMessages {
    pub(crate) fn new(
        message: &Arc<StoredMessage>,
        encoding: BroadcastEncoding,
        position: &Arc<ReadPosition>,
    ) -> WaitingMessages {
        WaitingMessages {
            next: Some(message.clone()),
            end: message.end,
            encoding,
            position: position.clone(),
        }
    }

    /// Adds a message if it follows these directly. Otherwise returns `false`.
    pub(crate) fn extend(&mut self, message: &StoredMessage, position: &Arc<ReadPosition>) -> bool {
        let follows =
            self.next.is_some() && Arc::ptr_eq(&self.position, position) && self.end == message.start();
        if follows {
            self.end = message.end;
        }
        follows
    }

    /// Returns the size of the next message in bytes, or `None` if all are taken.
    pub(crate) fn next_size(&self) -> Option<usize> {
        Some(self.next.as_ref()?.size(self.encoding))
    }

    /// Returns the number of messages.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let mut next = self.next.as_deref();
        let mut length = 0;
        while let Some(message) = next.filter(|message| message.end <= self.end) {
            length += 1;
            next = message.next.get().map(|message| &**message);
        }
        length
    }

    /// Returns `true` if more than one message waits.
    pub(crate) fn has_several(&self) -> bool {
        self.next.as_ref().is_some_and(|message| message.end < self.end)
    }

    /// Takes the next message. Returns `None` if all are taken.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let message = self.next.take()?;
        self.position.advance(&message);
        if message.end < self.end {
            self.next = message.next.get().cloned();
        }
        Some(message.frame(self.encoding))
    }
}

impl Drop for WaitingMessages {
    fn drop(&mut self) {
        self.position.advance_to(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(list: &mut Vec<Arc<StoredMessage>>, text: &str) -> Arc<StoredMessage> {
        let mut frames = EncodedMessage::default();
        frames.add(&text.into(), BroadcastEncoding::NulTerminated);
        let last = list.last().cloned();
        let before = last.as_ref().map_or(0, |last| last.end);
        let message = StoredMessage::append(frames, before, last);
        list.push(message.clone());
        message
    }

    fn position() -> Arc<ReadPosition> {
        Arc::new(ReadPosition::new(0, Arc::default()))
    }

    #[test]
    fn consecutive_messages_wait_as_one_run() {
        let (mut list, position) = (Vec::new(), position());
        let first = append(&mut list, "a");
        let mut waiting = WaitingMessages::new(&first, BroadcastEncoding::NulTerminated, &position);
        let second = append(&mut list, "b");
        assert!(waiting.extend(&second, &position));
        append(&mut list, "missed");
        let fourth = append(&mut list, "d");
        assert!(!waiting.extend(&fourth, &position));
        assert_eq!(waiting.take().as_deref(), Some(&b"a\0"[..]));
        assert_eq!(position.taken(), first.end());
        assert_eq!(waiting.next_size(), Some(2));
        assert_eq!(waiting.take().as_deref(), Some(&b"b\0"[..]));
        assert_eq!(waiting.take(), None);
        assert_eq!(position.taken(), second.end());
    }

    #[test]
    fn dropped_messages_count_as_taken() {
        let (mut list, position) = (Vec::new(), position());
        let message = append(&mut list, "a");
        drop(WaitingMessages::new(
            &message,
            BroadcastEncoding::Frame,
            &position,
        ));
        assert_eq!(position.taken(), message.end());
    }

    #[test]
    fn message_is_freed_when_the_last_member_has_taken_it_and_a_long_list_does_not_overflow_the_stack() {
        let (mut list, position) = (Vec::new(), position());
        let first = append(&mut list, "x");
        let mut waiting = WaitingMessages::new(&first, BroadcastEncoding::NulTerminated, &position);
        let freed = Arc::downgrade(&first);
        drop(first);
        for _ in 0..200_000 {
            let message = append(&mut list, "x");
            assert!(waiting.extend(&message, &position));
            // Only the run keeps the list.
            let last = list.pop();
            list.clear();
            list.extend(last);
        }
        assert!(freed.upgrade().is_some());
        waiting.take();
        assert!(freed.upgrade().is_none());
        let last = Arc::downgrade(&list.remove(0));
        assert!(last.upgrade().is_some());
        drop(waiting);
        assert!(last.upgrade().is_none());
    }
}
