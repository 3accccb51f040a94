//! The calling side: a pool of workers, and the calls on their way to them.

mod ending;
mod handshake;
mod incoming;
mod interface;
mod liveness;
mod outgoing;
mod peer;

use std::collections::BTreeMap;
use std::time::Duration;

pub use interface::{CallId, CallOptions, CallerAction, CallerConfig, CallerCounters, CallerEvent, PeerId};
pub use peer::{ConnectivityState, PeerView};

use super::Moment;
use super::collections::{IdMap, Timers};
use super::session::Entropy;
use crate::rpc::api::CallError;
use crate::rpc::codec::{WireMessage, limits};
use outgoing::{Budget, Overload, Pending, Queue, ServiceTime};
use peer::Peer;

/// The shortest time between two pings.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// The calls of one client to one service, however many workers that has.
///
/// Every call ends exactly once, no later than its deadline, if [`next_wake`](Self::next_wake) is obeyed. Memory is
/// bounded by the limits of its [`CallerConfig`]; nothing here waits, reads a clock or fails.
#[derive(Debug)]
pub struct Caller {
    config: CallerConfig,
    entropy: Entropy,
    now: Moment,
    peers: BTreeMap<PeerId, Peer>,
    calls: IdMap<CallId, Pending>,
    queue: Queue,
    bytes: usize,
    timers: Timers<Due>,
    budget: Budget,
    service_time: ServiceTime,
    overload: Overload,
    counters: CallerCounters,
    closing: bool,
    /// Something happened after which there may be no worker left to wait for.
    worse: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Deadline(CallId),
    Retry(CallId),
    Peer(PeerId),
}

impl Caller {
    /// A caller without workers. `seed` is 32 bytes that nobody can guess; two callers never have the same.
    pub fn new(config: CallerConfig, seed: [u8; 32]) -> Self {
        let config = CallerConfig {
            heartbeat_interval: config.heartbeat_interval.max(SHORTEST_BEAT),
            name: config.name.cut(limits::MAX_NAME),
            ..config
        };
        Self {
            config,
            entropy: Entropy::new(&seed),
            now: Moment::ZERO,
            peers: BTreeMap::new(),
            calls: IdMap::default(),
            queue: Queue::default(),
            bytes: 0,
            timers: Timers::new(),
            budget: Budget::new(),
            service_time: ServiceTime::default(),
            overload: Overload::default(),
            counters: CallerCounters::default(),
            closing: false,
            worse: false,
        }
    }

    /// Takes note of what happened at `now`, and adds what is to be done to `actions`.
    ///
    /// What is due by `now` is done first: an answer that comes at the deadline is too late.
    pub fn handle_event(&mut self, now: Moment, event: CallerEvent, actions: &mut Vec<CallerAction>) {
        self.pass(now);
        if let CallerEvent::Cancel { call } = event {
            // Before anything that is due, so that no outcome can follow.
            self.give_up(call, actions);
        }
        self.fire(actions);
        match event {
            CallerEvent::Call {
                call,
                request,
                deadline,
                options,
            } => self.call(call, request, deadline, options, actions),
            CallerEvent::AddPeer { peer } => self.add_peer(peer),
            CallerEvent::RemovePeer { peer } => self.remove_peer(peer, actions),
            CallerEvent::LinkUp { peer, link } => self.link_up(peer, link, actions),
            CallerEvent::LinkDown { peer, link } => self.link_down(peer, link, actions),
            CallerEvent::Frames { peer, link, frames } => self.frames(peer, link, &frames, actions),
            CallerEvent::SendFailed { peer, link, call } => self.unsent(peer, link, call, actions),
            CallerEvent::Cancel { .. } | CallerEvent::Wake => {}
            CallerEvent::Close => self.close(actions),
        }
        self.dispatch(actions);
        if std::mem::take(&mut self.worse) {
            self.end_the_hopeless(actions);
        }
    }

    /// When [`handle_event`](Self::handle_event) is to be called again at the latest, if only with [`CallerEvent::Wake`].
    pub fn next_wake(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &CallerCounters {
        &self.counters
    }

    /// The workers.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        self.peers.iter().map(|(id, peer)| peer.view(*id, &self.config))
    }

    /// Calls that have not ended.
    pub fn pending(&self) -> usize {
        self.calls.len()
    }

    /// Calls that wait for a worker with room.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of all calls that have not ended.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries of the timer queue: bounded by calls and workers, whatever ends early.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    fn fire(&mut self, actions: &mut Vec<CallerAction>) {
        while let Some((at, due)) = self.timers.due(self.now) {
            match due {
                Due::Deadline(call) => self.deadline(call, actions),
                Due::Retry(call) => self.retry(call),
                Due::Peer(id) => {
                    if self.peers.get(&id).is_some_and(|peer| peer.wake == Some(at)) {
                        self.peer_is_due(id, actions);
                        self.arm(id);
                    }
                }
            }
        }
    }

    fn give_up(&mut self, call: CallId, actions: &mut Vec<CallerAction>) {
        if self.take(call, true, actions).is_some() {
            self.counters.given_up += 1;
        }
    }

    fn add_peer(&mut self, id: PeerId) {
        if self.peers.contains_key(&id) || self.peers.len() >= self.config.max_peers {
            self.counters.misused += 1;
            return;
        }
        self.peers
            .insert(id, Peer::new(self.now + self.config.connect_grace));
        self.arm(id);
    }

    fn remove_peer(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            self.counters.misused += 1;
            return;
        };
        peer.leaving = true;
        self.worse = true;
        self.forget_if_done(id, actions);
    }

    /// Lets a worker go that was removed and has no more calls.
    fn forget_if_done(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get(&id) else { return };
        if !peer.leaving || peer.ready().is_some_and(|ready| !ready.in_flight.is_empty()) {
            return;
        }
        if peer.ready().is_some() {
            self.counters.sessions_ended += 1;
            self.send(id, &WireMessage::Bye { last_request_id: 0 }, actions);
        }
        self.peers.remove(&id);
        self.forget_timer();
        actions.push(CallerAction::PeerRemoved { peer: id });
    }

    fn link_down(&mut self, id: PeerId, link: u64, actions: &mut Vec<CallerAction>) {
        match self.peers.get_mut(&id) {
            Some(peer) if peer.link == link => self.end_session(id, None, actions),
            Some(peer) => {
                // A link that came and went unseen.
                peer.link = peer.link.max(link);
                self.counters.stale += 1;
            }
            None => self.counters.stale += 1,
        }
    }

    fn close(&mut self, actions: &mut Vec<CallerAction>) {
        self.closing = true;
        for call in self.queue.all() {
            self.finish(call, Err(CallError::ShuttingDown), actions);
        }
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in peers {
            self.remove_peer(id, actions);
        }
    }
}
