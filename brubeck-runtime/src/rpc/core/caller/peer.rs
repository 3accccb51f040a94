//! A worker as its caller sees it.

use bytes::Bytes;

use super::{CallId, CallerConfig, PeerId};
use crate::rpc::codec::Denial;
use crate::rpc::core::session::Session;
use crate::rpc::core::{IdMap, MAX_MISSED_HEARTBEATS, Moment};

/// How things stand with a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectivityState {
    /// There is no link.
    Connecting,
    /// The link is up, the session is being opened.
    Opening,
    /// It takes calls.
    Ready,
    /// It finishes what it has and takes no more.
    Draining,
}

/// A worker, for whoever wants to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerView {
    /// Which.
    pub peer: PeerId,
    /// How things stand with it.
    pub state: ConnectivityState,
    /// Calls on their way to it or running there.
    pub in_flight: usize,
    /// How many more it may be sent.
    pub free: usize,
    /// Why it opens no session, if that was the last thing it said.
    pub denied: Option<Denial>,
}

#[derive(Debug)]
pub(super) struct Peer {
    /// The newest link, up or not.
    pub(super) link: u64,
    pub(super) state: State,
    /// It is to get no more calls, and goes when it has none.
    pub(super) leaving: bool,
    /// Until when its first connection may be waited for; `None` once there was a session.
    pub(super) grace: Option<Moment>,
    /// The last attempt to reach it failed in a way that another attempt will not mend soon.
    pub(super) doubtful: bool,
    pub(super) denied: Option<Denial>,
    /// It said that it has no room.
    pub(super) busy_until: Moment,
    /// When the next timer is set for.
    pub(super) wake: Option<Moment>,
}

#[derive(Debug)]
pub(super) enum State {
    Down,
    /// The hello is sent.
    Greeting {
        since: Moment,
        hello: Bytes,
    },
    /// The proof is sent.
    Proving {
        since: Moment,
        session: Box<Session>,
    },
    Ready(Box<Ready>),
}

/// An open session.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) session: Session,
    pub(super) heard: Moment,
    pub(super) next_ping: Moment,
    /// The highest call id that may be sent.
    pub(super) limit: u64,
    pub(super) last_call: u64,
    pub(super) in_flight: IdMap<u64, CallId>,
    pub(super) draining: bool,
    /// Messages and bytes that came since anything was sent.
    pub(super) unacknowledged: (usize, usize),
}

impl Ready {
    pub(super) fn new(session: Session, now: Moment, limit: u64, config: &CallerConfig) -> Self {
        Self {
            session,
            heard: now,
            next_ping: now + config.heartbeat_interval,
            limit,
            last_call: 0,
            in_flight: IdMap::default(),
            draining: false,
            unacknowledged: (0, 0),
        }
    }

    pub(super) fn free(&self, config: &CallerConfig) -> usize {
        let allowed = usize::try_from(self.limit.saturating_sub(self.last_call)).unwrap_or(usize::MAX);
        allowed.min(config.max_in_flight.saturating_sub(self.in_flight.len()))
    }
}

impl Peer {
    pub(super) fn new(grace: Moment) -> Self {
        Self {
            link: 0,
            state: State::Down,
            leaving: false,
            grace: Some(grace),
            doubtful: false,
            denied: None,
            busy_until: Moment::ZERO,
            wake: None,
        }
    }

    pub(super) fn ready(&self) -> Option<&Ready> {
        match &self.state {
            State::Ready(ready) => Some(ready),
            _ => None,
        }
    }

    pub(super) fn ready_mut(&mut self) -> Option<&mut Ready> {
        match &mut self.state {
            State::Ready(ready) => Some(ready),
            _ => None,
        }
    }

    /// Whether a call may expect to get to it.
    pub(super) fn gives_hope(&self, now: Moment, config: &CallerConfig) -> bool {
        if self.leaving {
            return false;
        }
        match &self.state {
            State::Ready(ready) => !ready.draining,
            State::Greeting { since, .. } | State::Proving { since, .. } => {
                !self.doubtful && now < *since + config.connect_grace
            }
            State::Down => !self.doubtful && self.grace.is_some_and(|until| now < until),
        }
    }

    /// How many calls it takes now, if it takes any.
    pub(super) fn room(&self, now: Moment, config: &CallerConfig) -> Option<usize> {
        let ready = self
            .ready()
            .filter(|ready| !ready.draining && !self.leaving && self.busy_until <= now)?;
        Some(ready.free(config)).filter(|free| *free > 0)
    }

    /// When something is due, whatever happens until then.
    pub(super) fn next_wake(&self, now: Moment, config: &CallerConfig) -> Option<Moment> {
        let own = match &self.state {
            State::Down => self.grace.filter(|until| *until > now),
            State::Greeting { since, .. } | State::Proving { since, .. } => {
                let grace = Some(*since + config.connect_grace).filter(|until| *until > now);
                Some(grace.map_or(*since + config.handshake, |grace| {
                    grace.min(*since + config.handshake)
                }))
            }
            State::Ready(ready) => Some(
                ready
                    .next_ping
                    .min(ready.heard + config.heartbeat_interval * MAX_MISSED_HEARTBEATS),
            ),
        };
        let busy = Some(self.busy_until).filter(|until| *until > now);
        own.into_iter().chain(busy).min()
    }

    pub(super) fn view(&self, peer: PeerId, config: &CallerConfig) -> PeerView {
        let ready = self.ready();
        PeerView {
            peer,
            state: match &self.state {
                State::Down => ConnectivityState::Connecting,
                State::Greeting { .. } | State::Proving { .. } => ConnectivityState::Opening,
                State::Ready(ready) if ready.draining => ConnectivityState::Draining,
                State::Ready(_) => ConnectivityState::Ready,
            },
            in_flight: ready.map_or(0, |ready| ready.in_flight.len()),
            free: ready.map_or(0, |ready| ready.free(config)),
            denied: self.denied,
        }
    }
}
