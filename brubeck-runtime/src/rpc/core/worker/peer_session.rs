//! One caller of a worker, and the responses that it has not acknowledged.

use super::{JobId, WorkerConfig};
use crate::rpc::codec::WireMessage;
use crate::rpc::core::collections::DequeMap;
use crate::rpc::core::session::Session;
use crate::rpc::core::{MAX_MISSED_HEARTBEATS, Moment};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// A caller that has asked for nothing for this long gets the smallest credit until it asks again.
pub(super) const IDLE: Duration = Duration::from_secs(2);

/// A caller with an open session.
#[derive(Debug)]
pub(super) struct Guest {
    /// Its routing identity. It says where messages go, and proves nothing.
    pub(super) peer: Bytes,
    pub(super) session: Session,
    pub(super) heard: Moment,
    pub(super) heartbeat_interval: Duration,
    pub(super) max_body: usize,
    /// The last call id that came. No id up to it is begun any more.
    pub(super) last_call: u64,
    /// Calls that were taken and not answered; `None` where the answer is held back.
    pub(super) calls: DequeMap<u64, Option<JobId>>,
    pub(super) window: Window,
    /// Whether it counts where credit is shared out.
    pub(super) active: bool,
    pub(super) last_request: Moment,
    /// The highest call id that it was told.
    pub(super) told: u64,
    /// The counter of the message that told it about the drain; `None` while that is not sent.
    pub(super) farewell: Option<u64>,
    /// What it has acknowledged.
    pub(super) acknowledged: u64,
}

impl Guest {
    pub(super) fn silent_at(&self) -> Moment {
        self.heard + self.heartbeat_interval * MAX_MISSED_HEARTBEATS
    }

    /// Whether it knows about the drain, so that no request of it can still be on its way.
    pub(super) fn knows_of_drain(&self) -> bool {
        self.farewell.is_some_and(|counter| self.acknowledged >= counter)
    }
}

/// Messages on their way to one caller, until it acknowledges them, and those that have to wait for that.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Counter and size.
    sent: VecDeque<(u64, usize)>,
    bytes: usize,
    held: VecDeque<WireMessage>,
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
    pub(super) fn hold(&mut self, message: WireMessage, now: Moment) -> bool {
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
    pub(super) fn release(&mut self, config: &WorkerConfig) -> Option<WireMessage> {
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
