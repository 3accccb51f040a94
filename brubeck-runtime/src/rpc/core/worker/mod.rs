//! The serving side: sessions with callers, and the calls that were accepted from them.

mod completion;
mod config;
mod events;
mod handshake;
mod incoming;
mod sending;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use config::{WorkerConfig, WorkerCounters};
pub use events::{JobId, StopReason, WorkerAction, WorkerEvent};

use super::collections::{DequeMap, TimerQueue};
use super::entropy::Entropy;
use super::{IdMap, MAX_MISSED_HEARTBEATS, Moment};
use crate::rpc::api::KeyPin;
use crate::rpc::codec::{CallRequest, WireMessage, limits};
use session::PeerSession;

/// If a timer fires late by more than this, this process is assumed to have been suspended.
const CLOCK_STALL: Duration = Duration::from_millis(250);

/// One process of a service: its sessions with callers, and their calls.
///
/// A handler starts at most once for a request and never after its deadline, and no more handlers run at once than the
/// configured concurrency. Memory is bounded by the limits in [`WorkerConfig`]. No method blocks, reads a clock or fails.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    entropy: Entropy,
    now: Moment,
    sessions: BTreeMap<u64, PeerSession>,
    /// The session of each routing identity.
    session_ids: HashMap<Bytes, u64>,
    /// The peers that may open a session, if only verified ones may. The socket bounds their number.
    verified: HashMap<Bytes, Option<KeyPin>>,
    jobs: IdMap<JobId, Job>,
    /// The queued jobs, the oldest first.
    queue: DequeMap<JobId, ()>,
    /// The number of handlers that have not ended, including stopped ones.
    running: usize,
    /// The number of handlers that were stopped and have not ended.
    stopping: usize,
    /// The number of sessions that get a full share of the credit.
    active_sessions: usize,
    last_job: u64,
    /// A moving average of the time that handlers take.
    service_time: Option<Duration>,
    timers: TimerQueue<WorkerTimer>,
    counters: WorkerCounters,
    draining: bool,
    /// [`WorkerAction::Drained`] was returned.
    drained: bool,
}

/// A call that was accepted.
#[derive(Debug)]
struct Job {
    session: u64,
    request_id: u64,
    deadline: Moment,
    state: JobState,
}

#[derive(Debug)]
enum JobState {
    Queued(Arc<CallRequest>),
    /// The handler has been running since this time.
    Running(Moment),
    /// The handler was stopped, and its reply will be dropped.
    Stopping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum WorkerTimer {
    Deadline(JobId),
    /// The caller of this session may be dead.
    Heartbeat(u64),
    /// The caller of this session may have stopped reading.
    Stall(u64),
}

/// A snapshot of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerView {
    /// The number of open sessions.
    pub sessions: usize,
    /// The number of handlers that have not ended.
    pub running: usize,
    /// The number of queued calls.
    pub queued: usize,
    /// The number of handlers that were stopped and have not ended.
    pub stopping: usize,
    /// The number of messages that are held back until their callers acknowledge others.
    pub held: usize,
    /// The highest number of messages, and the highest number of bytes, that any caller has not acknowledged.
    pub unacknowledged: (usize, usize),
    /// The number of calls that all callers together may have here: at most the capacity plus one for each session.
    pub leased: usize,
    /// `true` while the worker is draining.
    pub draining: bool,
    /// The number of timers, including cancelled ones. The numbers of calls and sessions bound it.
    pub timer_count: usize,
}

impl Worker {
    /// Creates a worker without sessions. `seed` must be unpredictable and unique to this worker, because session ids are derived
    /// from it.
    pub fn new(config: WorkerConfig, seed: [u8; 32]) -> Self {
        let config = WorkerConfig {
            name: config.name.truncated(limits::MAX_NAME),
            service: config.service.truncated(limits::MAX_NAME),
            ..config
        };
        Self {
            config,
            entropy: Entropy::new(&seed),
            now: Moment::ZERO,
            sessions: BTreeMap::new(),
            session_ids: HashMap::new(),
            verified: HashMap::new(),
            jobs: IdMap::default(),
            queue: DequeMap::new(),
            running: 0,
            stopping: 0,
            active_sessions: 0,
            last_job: 0,
            service_time: None,
            timers: TimerQueue::new(),
            counters: WorkerCounters::default(),
            draining: false,
            drained: false,
        }
    }

    /// Processes an event that happened at `now`, and appends the resulting actions. Timers that expire by `now` fire first.
    pub fn handle_event(&mut self, now: Moment, event: WorkerEvent, actions: &mut Vec<WorkerAction>) {
        self.advance_clock(now);
        self.fire_timers(actions);
        match event {
            WorkerEvent::Frames { peer, frames } => self.frames(&peer, &frames, actions),
            WorkerEvent::Verified { peer, key } => {
                if self.config.verified_only {
                    self.verified.insert(peer, key);
                }
            }
            WorkerEvent::PeerGone { peer } => {
                self.verified.remove(&peer);
                if let Some(session) = self.session_ids.get(&peer).copied() {
                    self.end_session(session, actions);
                }
            }
            WorkerEvent::Finished { job, reply } => self.finished(job, reply, actions),
            WorkerEvent::Refused { job, reason } => self.refused(job, reason, actions),
            WorkerEvent::Drain => self.drain(actions),
            WorkerEvent::Wake => {}
        }
        self.start_queued(actions);
        if self.draining && !self.drained && self.is_drained() {
            self.drained = true;
            actions.push(WorkerAction::Drained);
        }
    }

    /// Returns the time by which [`handle_event`](Self::handle_event) must be called, with [`WorkerEvent::Wake`] if there is no
    /// other event. Returns `None` if there is nothing to wait for.
    pub fn next_wake(&self) -> Option<Moment> {
        self.timers.next_expiry()
    }

    /// Returns whether the handler of a job has started, and has neither ended nor been stopped.
    pub fn is_running(&self, job: JobId) -> bool {
        let job = self.jobs.get(&job);
        job.is_some_and(|job| matches!(job.state, JobState::Running(_)))
    }

    /// Returns the counters.
    pub const fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Returns a snapshot.
    pub fn view(&self) -> WorkerView {
        let windows = || self.sessions.values().map(|session| &session.window);
        WorkerView {
            sessions: self.sessions.len(),
            running: self.running,
            queued: self.queue.len(),
            stopping: self.stopping,
            held: windows().map(|window| window.held()).sum(),
            unacknowledged: windows()
                .map(|window| window.unacknowledged())
                .fold((0, 0), |highest, one| {
                    (highest.0.max(one.0), highest.1.max(one.1))
                }),
            leased: self.sessions.values().map(|session| self.lease(session)).sum(),
            draining: self.draining,
            timer_count: self.timers.len(),
        }
    }

    /// Advances the clock. If this process was suspended, grants each caller at least one heartbeat interval before it is considered
    /// dead, because its messages could not be received in the meantime.
    fn advance_clock(&mut self, now: Moment) {
        let now = now.max(self.now);
        if self
            .timers
            .next_expiry()
            .is_some_and(|expiry| now.saturating_sub(expiry) > CLOCK_STALL)
        {
            for session in self.sessions.values_mut() {
                let grace = session.heartbeat_interval * (MAX_MISSED_HEARTBEATS - 1);
                session.last_seen = session.last_seen.max(now.saturating_sub(grace));
            }
        }
        self.now = now;
    }

    fn fire_timers(&mut self, actions: &mut Vec<WorkerAction>) {
        while let Some((_, timer)) = self.timers.pop_expired(self.now) {
            match timer {
                WorkerTimer::Deadline(job) => self.stop(job, StopReason::Deadline, actions),
                WorkerTimer::Heartbeat(session) => self.check_liveness(session, actions),
                WorkerTimer::Stall(session) => self.check_stall(session, actions),
            }
        }
    }

    /// Handles an expired heartbeat timer: ends the session if its caller missed its heartbeats.
    fn check_liveness(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        // The timer is not moved with each message. If a message arrived in the meantime, set the timer for the remaining time.
        if session.dead_at() > self.now {
            return self.timers.set(session.dead_at(), WorkerTimer::Heartbeat(id));
        }
        self.counters.dead += 1;
        let bye = WireMessage::Bye {
            last_request_id: session.last_request_id,
        };
        self.send_or_drop(id, &bye, actions);
        self.end_session(id, actions);
    }

    fn drain(&mut self, actions: &mut Vec<WorkerAction>) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        let sessions: Vec<u64> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.send_or_hold(session, WireMessage::Draining, actions);
        }
    }

    /// Returns whether all calls have ended, no response is held back, and every caller has acknowledged the drain notice, so that
    /// no further requests can be in flight.
    fn is_drained(&self) -> bool {
        self.jobs.is_empty()
            && self
                .sessions
                .values()
                .all(|session| session.window.held() == 0 && session.acknowledged_drain())
    }
}
