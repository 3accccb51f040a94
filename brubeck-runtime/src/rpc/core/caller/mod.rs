//! The calling side: a pool of workers and the calls that are sent to them.

mod admission;
mod completion;
mod config;
mod contracts;
mod dispatch;
mod ejection;
mod events;
mod handshake;
mod health;
mod incoming;
mod liveness;
mod peer;
mod queue;
mod retry;

use completion::CONNECTION_CLOSED;
use std::collections::{BTreeMap, BTreeSet};

pub use config::{CallerConfig, CallerCounters};
pub use events::{CallNumber, CallOptions, CallerAction, CallerEvent, PeerId};
pub use peer::{ConnectivityState, PeerView};

use super::collections::{IdMap, TimerQueue};
use super::entropy::Entropy;
use super::{MAX_HEARTBEAT_INTERVAL, MIN_HEARTBEAT_INTERVAL, Moment};
use crate::rpc::api::CallError;
use crate::rpc::codec::{WireMessage, limits};
use admission::{Overload, ServiceTime};
use peer::WorkerPeer;
use queue::{ActiveCall, CallQueue};
use retry::RetryBudget;

/// Sends the calls of one client to the workers of one service.
///
/// Every call that is not cancelled ends exactly once and no later than its deadline, provided that the driver calls
/// [`handle_event`](Self::handle_event) at [`next_wake`](Self::next_wake). Memory is bounded by the limits in [`CallerConfig`].
/// No method blocks, reads a clock or fails.
#[derive(Debug)]
pub struct Caller {
    config: CallerConfig,
    entropy: Entropy,
    now: Moment,
    peers: BTreeMap<PeerId, WorkerPeer>,
    /// All calls that have not ended: queued, waiting for a retry, or sent.
    calls: IdMap<CallNumber, ActiveCall>,
    queue: CallQueue,
    /// The size of all calls that have not ended, in bytes.
    pending_bytes: usize,
    timers: TimerQueue<CallerTimer>,
    retry_budget: RetryBudget,
    service_time: ServiceTime,
    overload: Overload,
    counters: CallerCounters,
    closing: bool,
    /// The digests of the declarations that were compared with those of a worker.
    compared: BTreeSet<u64>,
    /// Set when a change may have left the queued calls without any worker to wait for.
    recheck_availability: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CallerTimer {
    Deadline(CallNumber),
    Retry(CallNumber),
    Peer(PeerId),
}

impl Caller {
    /// Creates a caller without workers. `seed` must be unpredictable and unique to this caller, because nonces are derived from
    /// it.
    pub fn new(config: CallerConfig, seed: [u8; 32]) -> Self {
        let config = CallerConfig {
            heartbeat_interval: config
                .heartbeat_interval
                .clamp(MIN_HEARTBEAT_INTERVAL, MAX_HEARTBEAT_INTERVAL),
            name: config.name.truncated(limits::MAX_NAME),
            service: config.service.truncated(limits::MAX_NAME),
            ..config
        };
        Self {
            config,
            entropy: Entropy::new(&seed),
            now: Moment::ZERO,
            peers: BTreeMap::new(),
            calls: IdMap::default(),
            queue: CallQueue::default(),
            pending_bytes: 0,
            timers: TimerQueue::new(),
            retry_budget: RetryBudget::new(),
            service_time: ServiceTime::default(),
            overload: Overload::default(),
            counters: CallerCounters::default(),
            closing: false,
            compared: BTreeSet::new(),
            recheck_availability: false,
        }
    }

    /// Processes an event that happened at `now`, and appends the resulting actions.
    ///
    /// Timers that expire by `now` fire first: a response that arrives at the deadline of its call is late.
    pub fn handle_event(&mut self, now: Moment, event: CallerEvent, actions: &mut Vec<CallerAction>) {
        self.advance_clock(now);
        if let CallerEvent::Cancel { call } = event {
            // Cancel before the timers fire: a cancelled call must not finish afterwards.
            self.cancel(call, actions);
        }
        self.fire_timers(actions);
        match event {
            CallerEvent::Call {
                call,
                request,
                deadline,
                options,
            } => self.call(call, request, deadline, options, actions),
            CallerEvent::AddPeer { peer } => self.add_peer(peer),
            CallerEvent::WorkersKnown => self.stop_waiting_for_ready(),
            CallerEvent::RemovePeer { peer } => self.remove_peer(peer, actions),
            CallerEvent::LinkUp { peer, link } => self.link_up(peer, link, actions),
            CallerEvent::LinkDown { peer, link } => self.link_down(peer, link, actions),
            CallerEvent::Frames { peer, link, frames } => self.frames(peer, link, &frames, actions),
            CallerEvent::SendFailed { peer, link, call } => self.send_failed(peer, link, call, actions),
            CallerEvent::Unreadable { peer } => self.record_unreadable(peer, actions),
            CallerEvent::Cancel { .. } | CallerEvent::Wake => {}
            CallerEvent::Close => self.close(actions),
        }
        self.dispatch(actions);
        if std::mem::take(&mut self.recheck_availability) {
            self.fail_unroutable(actions);
        }
    }

    /// Returns the time by which [`handle_event`](Self::handle_event) must be called, with [`CallerEvent::Wake`] if there is no
    /// other event. Returns `None` if there is nothing to wait for.
    pub fn next_wake(&self) -> Option<Moment> {
        self.timers.next_expiry()
    }

    /// Returns the counters.
    pub const fn counters(&self) -> &CallerCounters {
        &self.counters
    }

    /// Returns a snapshot of each worker.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        self.peers.iter().map(|(id, peer)| peer.view(*id, &self.config))
    }

    /// Returns the number of calls that have not ended.
    pub fn pending(&self) -> usize {
        self.calls.len()
    }

    /// Returns the number of calls in the queue, without those that wait for the end of their retry delay.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Returns the size of all calls that have not ended, in bytes.
    pub const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Returns the number of timers, including cancelled ones. The numbers of calls and workers bound it.
    pub fn timer_count(&self) -> usize {
        self.timers.len()
    }

    fn fire_timers(&mut self, actions: &mut Vec<CallerAction>) {
        while let Some((at, timer)) = self.timers.pop_expired(self.now) {
            match timer {
                CallerTimer::Deadline(call) => self.expire(call, actions),
                CallerTimer::Retry(call) => self.requeue(call),
                CallerTimer::Peer(id) => {
                    // A timer that was replaced by an earlier one, or whose worker was removed, is stale.
                    if self
                        .peers
                        .get(&id)
                        .is_some_and(|peer| peer.scheduled_wake == Some(at))
                    {
                        self.check_liveness(id, actions);
                        self.schedule_wake(id);
                    }
                }
            }
        }
    }

    fn cancel(&mut self, call: CallNumber, actions: &mut Vec<CallerAction>) {
        if self.remove_call(call, true, actions).is_some() {
            self.counters.cancelled += 1;
        }
    }

    fn add_peer(&mut self, id: PeerId) {
        if self.peers.contains_key(&id) || self.peers.len() >= self.config.max_peers {
            self.counters.misused += 1;
            return;
        }
        let grace_until = self.now + self.config.connect_grace;
        self.peers.insert(id, WorkerPeer::new(grace_until));
        self.schedule_wake(id);
    }

    fn remove_peer(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            self.counters.misused += 1;
            return;
        };
        peer.removing = true;
        self.recheck_availability = true;
        self.remove_peer_if_done(id, actions);
    }

    /// Drops a worker that was removed, once its last call has ended.
    fn remove_peer_if_done(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get(&id) else { return };
        if !peer.removing || peer.ready().is_some_and(|ready| !ready.in_flight.is_empty()) {
            return;
        }
        if peer.ready().is_some() {
            self.counters.sessions_ended += 1;
            self.send(id, &WireMessage::Bye { last_request_id: 0 }, actions);
        }
        self.peers.remove(&id);
        self.note_cancelled_timer();
        actions.push(CallerAction::PeerRemoved { peer: id });
    }

    fn link_down(&mut self, id: PeerId, link: u64, actions: &mut Vec<CallerAction>) {
        match self.peers.get_mut(&id) {
            Some(peer) if peer.link == link => self.end_session(id, None, CONNECTION_CLOSED, actions),
            Some(peer) => {
                // If the link is newer than the known one, its `LinkUp` has not arrived. Remember the number, so that a late
                // `LinkUp` is ignored.
                peer.link = peer.link.max(link);
                self.counters.stale += 1;
            }
            None => self.counters.stale += 1,
        }
    }

    fn close(&mut self, actions: &mut Vec<CallerAction>) {
        self.closing = true;
        for call in self.queue.all() {
            self.finish(call, Err(CallError::shutting_down()), actions);
        }
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in peers {
            self.remove_peer(id, actions);
        }
    }
}
