//! The serving side: sessions with callers, and the calls that were taken from them.

pub(crate) mod handshake;

mod ending;
mod incoming;
mod interface;
mod peer_session;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use interface::{JobId, StopReason, WorkerAction, WorkerConfig, WorkerCounters, WorkerEvent};

use super::collections::{DequeMap, Timers};
use super::session::Entropy;
use super::{IdMap, Moment};
use crate::rpc::codec::{CallRequest, WireMessage, limits};
use handshake::Unproven;
use peer_session::Guest;

/// A timer that is this late says that this process stood still.
const STOOD_STILL: Duration = Duration::from_millis(250);

/// The calls of one service, for any number of callers.
///
/// A handler starts at most once for a request, never after its deadline, and never more of them at once than there are
/// concurrency. Memory is bounded by the limits of its [`WorkerConfig`]; nothing here waits, reads a clock or fails.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    entropy: Entropy,
    now: Moment,
    unproven: VecDeque<Unproven>,
    guests: BTreeMap<u64, Guest>,
    by_peer: HashMap<Bytes, u64>,
    jobs: IdMap<JobId, Job>,
    /// Jobs that wait for a slot, the oldest first.
    queue: DequeMap<JobId, ()>,
    /// Handlers that have not ended, stopped ones included.
    running: usize,
    /// Handlers that were stopped and have not ended.
    stopping: usize,
    /// Callers that count where credit is shared out.
    active: usize,
    last_job: u64,
    /// How long handlers take, in the mean.
    service_time: Option<Duration>,
    timers: Timers<Due>,
    counters: WorkerCounters,
    draining: bool,
    idle: bool,
}

/// A call that was taken.
#[derive(Debug)]
struct Job {
    session: u64,
    call: u64,
    deadline: Moment,
    state: JobState,
}

#[derive(Debug)]
enum JobState {
    /// It waits for a slot.
    Waiting(Arc<CallRequest>),
    /// Its handler runs, since then.
    Running(Moment),
    /// Its handler was stopped, and nobody waits for an answer.
    Stopping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Deadline(JobId),
    Silence(u64),
    Stall(u64),
    Unproven,
}

/// A worker, for whoever wants to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerView {
    /// Callers with a session.
    pub sessions: usize,
    /// Peers that are about to open one.
    pub unproven: usize,
    /// Handlers that have not ended.
    pub running: usize,
    /// Calls that wait for a slot.
    pub queued: usize,
    /// Handlers that were stopped and have not ended.
    pub stopping: usize,
    /// Answers that are held back until their callers have read others.
    pub held: usize,
    /// The most messages, and the most bytes, that any caller has not acknowledged.
    pub unacknowledged: (usize, usize),
    /// How many calls all callers together may have here: at most the capacity and one for each session.
    pub leased: usize,
    /// Whether it is stopping.
    pub draining: bool,
    /// Entries of the timer queue: bounded by calls and sessions, whatever ends early.
    pub timers: usize,
}

impl Worker {
    /// A worker without sessions. `seed` is 32 bytes that nobody can guess; two workers never have the same.
    pub fn new(config: WorkerConfig, seed: [u8; 32]) -> Self {
        let config = WorkerConfig {
            name: config.name.cut(limits::MAX_NAME),
            ..config
        };
        Self {
            config,
            entropy: Entropy::new(&seed),
            now: Moment::ZERO,
            unproven: VecDeque::new(),
            guests: BTreeMap::new(),
            by_peer: HashMap::new(),
            jobs: IdMap::default(),
            queue: DequeMap::new(),
            running: 0,
            stopping: 0,
            active: 0,
            last_job: 0,
            service_time: None,
            timers: Timers::new(),
            counters: WorkerCounters::default(),
            draining: false,
            idle: false,
        }
    }

    /// Takes note of what happened at `now`, and adds what is to be done to `actions`. What is due by `now` is done first.
    pub fn handle_event(&mut self, now: Moment, event: WorkerEvent, actions: &mut Vec<WorkerAction>) {
        self.pass(now);
        self.fire(actions);
        match event {
            WorkerEvent::Frames { peer, frames } => self.frames(&peer, &frames, actions),
            WorkerEvent::PeerGone { peer } => {
                if let Some(session) = self.by_peer.get(&peer).copied() {
                    self.end_session(session, actions);
                }
                self.unproven.retain(|unproven| unproven.peer != peer);
            }
            WorkerEvent::Finished { job, reply } => self.finished(job, reply, actions),
            WorkerEvent::Drain => self.drain(actions),
            WorkerEvent::Wake => {}
        }
        self.fill(actions);
        if self.draining && !self.idle && self.is_done() {
            self.idle = true;
            actions.push(WorkerAction::Drained);
        }
    }

    /// When [`handle_event`](Self::handle_event) is to be called again at the latest, if only with [`WorkerEvent::Wake`].
    pub fn next_wake(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Whether the handler of this job has begun, and is wanted still.
    pub fn is_running(&self, job: JobId) -> bool {
        let job = self.jobs.get(&job);
        job.is_some_and(|job| matches!(job.state, JobState::Running(_)))
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// How things stand.
    pub fn view(&self) -> WorkerView {
        let windows = || self.guests.values().map(|guest| &guest.window);
        WorkerView {
            sessions: self.guests.len(),
            unproven: self.unproven.len(),
            running: self.running,
            queued: self.queue.len(),
            stopping: self.stopping,
            held: windows().map(|window| window.held()).sum(),
            unacknowledged: windows()
                .map(|window| window.unacknowledged())
                .max()
                .unwrap_or_default(),
            leased: self.guests.values().map(|guest| self.lease(guest)).sum(),
            draining: self.draining,
            timers: self.timers.len(),
        }
    }

    /// Moves time on. If this process stood still, the callers get a heartbeat_interval to show that they live.
    fn pass(&mut self, now: Moment) {
        let now = now.max(self.now);
        if self
            .timers
            .next()
            .is_some_and(|due| now.saturating_sub(due) > STOOD_STILL)
        {
            for guest in self.guests.values_mut() {
                guest.heard = guest.heard.max(now.saturating_sub(guest.heartbeat_interval * 2));
            }
        }
        self.now = now;
    }

    fn fire(&mut self, actions: &mut Vec<WorkerAction>) {
        while let Some((_, due)) = self.timers.due(self.now) {
            match due {
                Due::Deadline(job) => self.deadline(job, actions),
                Due::Silence(session) => self.listen(session, actions),
                Due::Stall(session) => self.check_stall(session, actions),
                Due::Unproven => self.forget_unproven(),
            }
        }
    }

    /// A caller may have been silent for three beats.
    fn listen(&mut self, session: u64, actions: &mut Vec<WorkerAction>) {
        let Some(guest) = self.guests.get(&session) else {
            return;
        };
        if guest.silent_at() > self.now {
            return self.timers.set(guest.silent_at(), Due::Silence(session));
        }
        self.counters.dead += 1;
        let bye = WireMessage::Bye {
            last_request_id: guest.last_call,
        };
        self.send_or_drop(session, &bye, actions);
        self.end_session(session, actions);
    }

    fn drain(&mut self, actions: &mut Vec<WorkerAction>) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        let sessions: Vec<u64> = self.guests.keys().copied().collect();
        for session in sessions {
            self.send_or_hold(session, WireMessage::Draining, actions);
        }
    }

    /// Whether nothing is left to do, and no caller can still be sending calls because it does not know of the drain.
    fn is_done(&self) -> bool {
        self.jobs.is_empty()
            && self
                .guests
                .values()
                .all(|guest| guest.window.held() == 0 && guest.knows_of_drain())
    }
}
