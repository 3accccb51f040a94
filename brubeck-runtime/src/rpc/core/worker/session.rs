//! The session of one caller, and the messages that it has not acknowledged.

use super::{JobId, WorkerConfig};
use crate::rpc::api::KeyPin;
use crate::rpc::codec::WireMessage;
use crate::rpc::core::channel::SessionChannel;
use crate::rpc::core::collections::DequeMap;
use crate::rpc::core::{MAX_MISSED_HEARTBEATS, Moment};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// The time since the last request after which a session without open requests gets the minimum credit until its next request.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(2);

/// An open session with one caller.
#[derive(Debug)]
pub(super) struct PeerSession {
    /// The routing identity of the caller, to which messages are sent. Messages of this session from other identities are dropped.
    pub(super) peer: Bytes,
    /// The key that the caller has proven.
    pub(super) key: Option<KeyPin>,
    pub(super) channel: SessionChannel,
    /// The time of the last message.
    pub(super) last_seen: Moment,
    pub(super) heartbeat_interval: Duration,
    /// The largest reply body that the caller accepts, in bytes.
    pub(super) max_body: usize,
    /// The last request id received, or reported as sent by a ping. Requests up to it that arrive later are dropped.
    pub(super) last_request_id: u64,
    /// The requests without a sent response, by request id: accepted ones, and `None` for those whose response is held back.
    pub(super) requests: DequeMap<u64, Option<JobId>>,
    pub(super) window: Window,
    /// `true` if the session gets a full share of the credit.
    pub(super) active: bool,
    pub(super) last_request_at: Moment,
    /// The limit that was last sent to the caller.
    pub(super) advertised_limit: u64,
    /// The counter of the message with the drain notice; `None` if it was not sent.
    pub(super) drain_notice: Option<u64>,
    /// The counter that the caller acknowledged last.
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
    /// `true` while the stall timer is set. There is at most one, however often a stall begins and ends.
    stall_timer_set: bool,
}

/// The action for the stall timer of a session after a message was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StallTimer {
    MustBeSet,
    /// It may expire too early, for a previous stall, and is then set again.
    IsSet,
}

impl Window {
    pub(super) fn is_full(&self, config: &WorkerConfig) -> bool {
        self.in_flight.len() >= config.max_unacknowledged || self.bytes >= config.max_unacknowledged_bytes
    }

    pub(super) fn record_sent(&mut self, counter: u64, size: usize) {
        self.in_flight.push_back((counter, size));
        self.bytes += size;
    }

    /// Holds a message back. Returns whether the stall timer must be set.
    pub(super) fn hold(&mut self, message: WireMessage, now: Moment) -> StallTimer {
        self.held.push_back(message);
        self.stalled_since.get_or_insert(now);
        if std::mem::replace(&mut self.stall_timer_set, true) {
            StallTimer::IsSet
        } else {
            StallTimer::MustBeSet
        }
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

    /// Removes and returns the next held message if there is room for it.
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

    /// Handles the expiry of the stall timer. If there is a stall, returns the time at which it began; the timer must then be set
    /// again or the caller disconnected.
    pub(super) fn take_stall_timer(&mut self) -> Option<Moment> {
        self.stall_timer_set = self.stalled_since.is_some();
        self.stalled_since
    }

    /// Returns the number of messages in flight, and of their bytes.
    pub(super) fn unacknowledged(&self) -> (usize, usize) {
        (self.in_flight.len(), self.bytes)
    }
}
