//! The state that a caller keeps for each worker.

use super::contracts::WorkerContracts;
use super::health::{Availability, WorkerHealth};
use super::{CallNumber, CallerConfig, PeerId};
use crate::rpc::codec::{Denial, Welcome};
use crate::rpc::core::channel::SessionChannel;
use crate::rpc::core::{IdMap, MAX_MISSED_HEARTBEATS, Moment};

/// The connectivity of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectivityState {
    /// There is no link, or it was dropped.
    Connecting,
    /// The link is up and the handshake is in progress.
    Handshaking,
    /// The session is open and the worker accepts calls, up to its limit.
    Ready,
    /// The worker finishes its calls and accepts no new ones.
    Draining,
}

/// A snapshot of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerView {
    /// The id of the worker.
    pub peer: PeerId,
    /// The connectivity of the worker.
    pub state: ConnectivityState,
    /// The number of calls that were sent and have not ended.
    pub in_flight: usize,
    /// The number of further calls that the limits of the worker and of the caller allow.
    pub free: usize,
    /// The worker gets no calls, or one at a time, because it failed more often than the others.
    pub ejected: bool,
    /// The reason of the latest denial since the last open session; `None` if there was none.
    pub denied: Option<Denial>,
}

/// A worker that the driver added.
#[derive(Debug)]
pub(super) struct WorkerPeer {
    /// The number of the latest link, which may be down.
    pub(super) link: u64,
    pub(super) state: PeerState,
    /// The worker gets no further calls and is dropped once its last call has ended.
    pub(super) removing: bool,
    /// The time until which calls wait for a session. `None` while one is open, unless it drains.
    pub(super) grace_until: Option<Moment>,
    /// The last handshake timed out or was denied, or the worker missed its heartbeats, so calls do not wait for the next
    /// session.
    pub(super) last_attempt_failed: bool,
    pub(super) denied: Option<Denial>,
    /// The time until which no calls are sent, because the worker or the link had no room.
    pub(super) busy_until: Moment,
    pub(super) health: WorkerHealth,
    /// The expiry of the current timer; `None` if none is set.
    pub(super) scheduled_wake: Option<Moment>,
}

#[derive(Debug)]
pub(super) enum PeerState {
    Disconnected,
    /// `hello` was sent.
    AwaitingWelcome {
        since: Moment,
    },
    Ready(Box<ReadySession>),
}

/// An open session.
#[derive(Debug)]
pub(super) struct ReadySession {
    pub(super) channel: SessionChannel,
    /// The time of the last message.
    pub(super) last_seen: Moment,
    pub(super) next_ping: Moment,
    /// The highest request id that may be sent.
    pub(super) limit: u64,
    pub(super) last_request_id: u64,
    /// The calls in flight, by request id.
    pub(super) in_flight: IdMap<u64, CallNumber>,
    pub(super) draining: bool,
    /// The number of messages received since the last one was sent. Every message that is sent acknowledges all received ones.
    pub(super) unacknowledged_messages: usize,
    pub(super) unacknowledged_bytes: usize,
    pub(super) contracts: WorkerContracts,
    /// The largest request body that the worker accepts, with its parts, in bytes.
    pub(super) max_body: usize,
}

impl ReadySession {
    pub(super) fn new(channel: SessionChannel, now: Moment, welcome: Welcome, config: &CallerConfig) -> Self {
        Self {
            channel,
            last_seen: now,
            next_ping: now + config.heartbeat_interval,
            limit: welcome.limit,
            last_request_id: 0,
            in_flight: IdMap::default(),
            draining: false,
            unacknowledged_messages: 0,
            unacknowledged_bytes: 0,
            contracts: WorkerContracts::new(welcome.contracts),
            max_body: usize::try_from(welcome.max_body).unwrap_or(usize::MAX),
        }
    }

    /// Returns how many further calls the worker and the configuration allow.
    pub(super) fn free(&self, config: &CallerConfig) -> usize {
        let credit = usize::try_from(self.limit.saturating_sub(self.last_request_id)).unwrap_or(usize::MAX);
        credit.min(config.max_in_flight.saturating_sub(self.in_flight.len()))
    }

    /// Records that a message was sent: each one carries an acknowledgement.
    pub(super) fn acknowledged(&mut self) {
        (self.unacknowledged_messages, self.unacknowledged_bytes) = (0, 0);
    }
}

impl WorkerPeer {
    pub(super) fn new(grace_until: Moment) -> Self {
        Self {
            link: 0,
            state: PeerState::Disconnected,
            removing: false,
            grace_until: Some(grace_until),
            last_attempt_failed: false,
            denied: None,
            busy_until: Moment::ZERO,
            health: WorkerHealth::default(),
            scheduled_wake: None,
        }
    }

    pub(super) fn ready(&self) -> Option<&ReadySession> {
        match &self.state {
            PeerState::Ready(ready) => Some(ready),
            _ => None,
        }
    }

    pub(super) fn ready_mut(&mut self) -> Option<&mut ReadySession> {
        match &mut self.state {
            PeerState::Ready(ready) => Some(ready),
            _ => None,
        }
    }

    /// Returns whether a queued call should wait for this worker.
    pub(super) fn may_become_ready(&self, now: Moment, config: &CallerConfig) -> bool {
        if self.removing {
            return false;
        }
        match &self.state {
            PeerState::Ready(ready) if ready.draining => self.is_in_grace(now),
            PeerState::Ready(_) => true,
            PeerState::AwaitingWelcome { since } => {
                !self.last_attempt_failed && now < *since + config.connect_grace
            }
            PeerState::Disconnected => !self.last_attempt_failed && self.is_in_grace(now),
        }
    }

    fn is_in_grace(&self, now: Moment) -> bool {
        self.grace_until.is_some_and(|until| now < until)
    }

    /// Returns whether the worker gets calls, and none is ahead that has to show first whether it has recovered.
    pub(super) fn is_available(&self, now: Moment) -> bool {
        match self.health.availability(now) {
            Availability::Full => true,
            Availability::Probing => self.ready().is_some_and(|ready| ready.in_flight.is_empty()),
            Availability::Ejected => false,
        }
    }

    /// Returns how many calls can be sent now, or `None` if there is no room.
    pub(super) fn room(&self, now: Moment, config: &CallerConfig) -> Option<usize> {
        let ready = self
            .ready()
            .filter(|ready| !ready.draining && !self.removing && self.busy_until <= now)?;
        Some(ready.free(config)).filter(|free| *free > 0)
    }

    /// Returns the time of the next timeout, ping or end of a pause; `None` if nothing happens without a message or a link.
    pub(super) fn next_wake(&self, now: Moment, config: &CallerConfig) -> Option<Moment> {
        let state_change = match &self.state {
            PeerState::Disconnected => None,
            PeerState::AwaitingWelcome { since } => {
                let timeout = *since + config.handshake_timeout;
                let grace_end = Some(*since + config.connect_grace).filter(|until| *until > now);
                Some(grace_end.map_or(timeout, |grace_end| grace_end.min(timeout)))
            }
            PeerState::Ready(ready) => {
                let dead_at = ready.last_seen + config.heartbeat_interval * MAX_MISSED_HEARTBEATS;
                Some(ready.next_ping.min(dead_at))
            }
        };
        let busy_end = Some(self.busy_until).filter(|until| *until > now);
        state_change
            .into_iter()
            .chain(self.grace_until.filter(|until| *until > now))
            .chain(busy_end)
            .chain(self.health.probing_at(now))
            .min()
    }

    pub(super) fn view(&self, peer: PeerId, config: &CallerConfig) -> PeerView {
        let ready = self.ready();
        PeerView {
            peer,
            state: match &self.state {
                PeerState::Disconnected => ConnectivityState::Connecting,
                PeerState::AwaitingWelcome { .. } => ConnectivityState::Handshaking,
                PeerState::Ready(ready) if ready.draining => ConnectivityState::Draining,
                PeerState::Ready(_) => ConnectivityState::Ready,
            },
            in_flight: ready.map_or(0, |ready| ready.in_flight.len()),
            free: ready.map_or(0, |ready| ready.free(config)),
            ejected: self.health.is_ejected(),
            denied: self.denied,
        }
    }
}
