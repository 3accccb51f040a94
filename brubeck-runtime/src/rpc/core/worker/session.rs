//! The session of one caller, and the messages that it has not acknowledged.

use super::{JobId, WorkerConfig};
use crate::rpc::codec::WireMessage;
use crate::rpc::core::channel::SecureChannel;
use crate::rpc::core::collections::DequeMap;
use crate::rpc::core::{MAX_MISSED_HEARTBEATS, Moment};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// The time without requests after which a session gets the minimum credit until its next request.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(2);

/// An open session with one caller.
#[derive(Debug)]
pub(super) struct PeerSession {
    /// The routing identity of the caller. It is not authenticated: it only says where to send messages.
    pub(super) peer: Bytes,
    pub(super) channel: SecureChannel,
    /// The time of the last authentic message.
    pub(super) last_seen: Moment,
    pub(super) heartbeat_interval: Duration,
    /// The largest reply body that the caller accepts, in bytes.
    pub(super) max_body: usize,
    /// The last request id received, or reported as sent by a ping. Requests up to it are not begun any more.
    pub(super) last_request_id: u64,
    /// The accepted requests without a sent reply, by request id; `None` if the reply is held back.
    pub(super) requests: DequeMap<u64, Option<JobId>>,
    pub(super) window: Window,
    /// Whether the session gets a full share of the credit.
    pub(super) active: bool,
    pub(super) last_request_at: Moment,
    /// The limit that was last sent to the caller.
    pub(super) advertised_limit: u64,
    /// The counter of the message with the drain notice; `None` if it was not sent.
    pub(super) drain_notice: Option<u64>,
    /// The highest counter that the caller has acknowledged.
    pub(super) acknowledged: u64,
}

impl PeerSession {
    /// Returns the time at which the caller is considered dead.
    pub(super) fn dead_at(&self) -> Moment {
        self.last_seen + self.heartbeat_interval * MAX_MISSED_HEARTBEATS
    }

    /// Returns whether the caller has acknowledged the drain notice, so that none of its requests can be in flight.
    pub(super) fn acknowledged_drain(&self) -> bool {
        self.drain_notice
            .is_some_and(|counter| self.acknowledged >= counter)
    }
}

/// The send window of a session: the messages that the caller has not acknowledged, and those held back while it is full.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The counter and the size in bytes of each message in flight.
    in_flight: VecDeque<(u64, usize)>,
    bytes: usize,
    held: VecDeque<WireMessage>,
    /// The time since which messages are held and none was acknowledged.
    stalled_since: Option<Moment>,
}

impl Window {
    pub(super) fn is_full(&self, config: &WorkerConfig) -> bool {
        self.in_flight.len() >= config.max_unacknowledged || self.bytes >= config.max_unacknowledged_bytes
    }

    pub(super) fn record_sent(&mut self, counter: u64, size: usize) {
        self.in_flight.push_back((counter, size));
        self.bytes += size;
    }

    /// Holds a message back. Returns whether this begins a stall.
    pub(super) fn hold(&mut self, message: WireMessage, now: Moment) -> bool {
        self.held.push_back(message);
        let stall_begins = self.stalled_since.is_none();
        self.stalled_since.get_or_insert(now);
        stall_begins
    }

    /// Removes the messages up to `counter`. Any progress restarts the stall timeout.
    pub(super) fn acknowledge(&mut self, counter: u64, now: Moment) {
        let before = self.in_flight.len();
        while let Some(&(sent, size)) = self.in_flight.front()
            && sent <= counter
        {
            self.in_flight.pop_front();
            self.bytes = self.bytes.saturating_sub(size);
        }
        if self.in_flight.len() < before && self.stalled_since.is_some() {
            self.stalled_since = Some(now);
        }
    }

    /// Returns the next held message if there is room for it.
    pub(super) fn release(&mut self, config: &WorkerConfig) -> Option<WireMessage> {
        if self.is_full(config) {
            return None;
        }
        let message = self.held.pop_front();
        if self.held.is_empty() {
            self.stalled_since = None;
        }
        message
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) const fn stalled_since(&self) -> Option<Moment> {
        self.stalled_since
    }

    /// Returns the number of messages in flight, and of their bytes.
    pub(super) fn unacknowledged(&self) -> (usize, usize) {
        (self.in_flight.len(), self.bytes)
    }
}
