//! What was sent to a caller and may not have been read.

use std::collections::VecDeque;

use super::WorkerConfig;
use crate::rpc::codec::Message;
use crate::rpc::core::Moment;

/// Messages on their way to one caller, until it acknowledges them, and those that have to wait for that.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Counter and size.
    sent: VecDeque<(u64, usize)>,
    bytes: usize,
    held: VecDeque<Message>,
    /// Since when something is held and nothing was acknowledged.
    stalled: Option<Moment>,
}

impl Window {
    pub(super) fn is_full(&self, config: &WorkerConfig) -> bool {
        self.sent.len() >= config.max_unacknowledged || self.bytes >= config.max_unacknowledged_bytes
    }

    pub(super) fn sent(&mut self, counter: u64, size: usize) {
        self.sent.push_back((counter, size));
        self.bytes += size;
    }

    /// Holds a message back. Returns whether that begins a stall.
    pub(super) fn hold(&mut self, message: Message, now: Moment) -> bool {
        self.held.push_back(message);
        let begins = self.stalled.is_none();
        self.stalled.get_or_insert(now);
        begins
    }

    pub(super) fn acknowledge(&mut self, counter: u64, now: Moment) {
        let before = self.sent.len();
        while let Some(&(sent, size)) = self.sent.front()
            && sent <= counter
        {
            self.sent.pop_front();
            self.bytes = self.bytes.saturating_sub(size);
        }
        if self.sent.len() < before && self.stalled.is_some() {
            self.stalled = Some(now);
        }
    }

    /// A message that was held back and may be sent now.
    pub(super) fn release(&mut self, config: &WorkerConfig) -> Option<Message> {
        if self.is_full(config) {
            return None;
        }
        let message = self.held.pop_front();
        if self.held.is_empty() {
            self.stalled = None;
        }
        message
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) const fn stalled(&self) -> Option<Moment> {
        self.stalled
    }

    pub(super) fn unacknowledged(&self) -> (usize, usize) {
        (self.sent.len(), self.bytes)
    }
}
