//! The simulated processes and their network, in virtual time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use brubeck_runtime::driver::Driver;
use brubeck_runtime::protocol::*;
use brubeck_runtime::wire::v3::{ByteStr, CallRequest, WireReply};
use bytes::Bytes;

use super::ledger::{self, Entry, Ledger, Outcomes, State, Tag};
use super::network::{Link, Side, identity};
use super::plan::{HEARTBEAT_INTERVAL, Illness, Plan, RECOVERY};
use super::rng::Rng;

/// A scheduled event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Connect {
        caller: usize,
        worker: usize,
        incarnation: u64,
    },
    Deliver {
        to: Side,
        caller: usize,
        incarnation: u64,
        worker: usize,
        number: u64,
        frames: Vec<Bytes>,
    },
    LinkDown {
        caller: usize,
        incarnation: u64,
        worker: usize,
        number: u64,
    },
    PeerGone {
        worker: usize,
        incarnation: u64,
        peer: Bytes,
    },
    WakeCaller {
        caller: usize,
        incarnation: u64,
    },
    WakeWorker {
        worker: usize,
        incarnation: u64,
    },
    HandlerEnds {
        worker: usize,
        incarnation: u64,
        job: JobId,
        tag: Tag,
    },
    MakeCall {
        caller: usize,
    },
    CancelCall {
        caller: usize,
        incarnation: u64,
        tag: Tag,
    },
    Resume {
        side: Side,
        node: usize,
        incarnation: u64,
    },
    StartWorker {
        worker: usize,
        incarnation: u64,
    },
    InjectFault,
}

pub(crate) struct CallerNode {
    pub(crate) driver: Driver<Caller>,
    pub(crate) incarnation: u64,
    pub(crate) clock: Clock,
    /// The calls that have not ended, by deadline.
    pub(crate) open: BTreeSet<(Moment, Tag)>,
    pub(crate) next_call: u64,
    pub(crate) tags: HashMap<CallNumber, Tag>,
    pub(crate) ids: HashMap<Tag, CallNumber>,
}

pub(crate) struct WorkerNode {
    pub(crate) driver: Driver<Worker>,
    pub(crate) incarnation: u64,
    pub(crate) clock: Clock,
    pub(crate) alive: bool,
    pub(crate) draining: bool,
    pub(crate) jobs: HashMap<JobId, Running>,
}

pub(crate) struct Running {
    tag: Tag,
    /// The handler ignores that it was stopped.
    ignores_stop: bool,
    stopped: bool,
}

/// The clock of a process. The process may be suspended, and the clock may jump forward.
#[derive(Default)]
pub(crate) struct Clock {
    offset: u64,
    pub(crate) frozen: bool,
    backlog: VecDeque<Event>,
    /// The time at which the process was last resumed, or its clock last jumped.
    resumed_at: Option<u64>,
    wake: Option<u64>,
}

impl Clock {
    /// Converts a time of the simulation to a moment of this clock.
    pub(crate) fn at(&self, world: u64) -> Moment {
        Duration::from_micros(world + self.offset)
    }

    pub(crate) fn jump(&mut self, world: u64, by: u64) {
        self.offset += by;
        self.resumed_at = Some(world);
        self.wake = None;
    }

    /// Converts a moment of this clock to the time of the simulation.
    fn to_world(&self, moment: Moment) -> u64 {
        (moment.as_nanos().div_ceil(1000) as u64).saturating_sub(self.offset)
    }
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub(crate) callers: Vec<CallerNode>,
    pub(crate) workers: Vec<WorkerNode>,
    pub(crate) links: Vec<Vec<Link>>,
    pub(crate) ledger: Ledger,
    /// The last 64 messages sent. Empty unless the plan replays messages.
    pub(crate) history: VecDeque<Vec<Bytes>>,
    /// The number of processed events.
    pub(crate) done: u64,
    trace: DefaultHasher,
    pub(crate) log: Option<VecDeque<String>>,
    /// The time until which calls are made and faults injected.
    pub(crate) load_end: u64,
    pub(crate) last_tag: Tag,
    pub(crate) counts: Counts,
    pub(crate) seconds: Vec<Second>,
}

/// The events in one second of a simulation with an ill worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    /// The calls that ended.
    pub(crate) ended: u64,
    /// Those that ended with an error, or with a status from 500 on.
    pub(crate) failed: u64,
    /// The handlers that started, and those of the ill worker.
    pub(crate) starts: u64,
    pub(crate) ill_starts: u64,
}

/// Counters for the report.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) starts: u64,
    /// Workers that ended after a drain.
    pub(crate) drained: u64,
    pub(crate) drains: u64,
    pub(crate) faults: u64,
    /// Indexed by [`Fault`](super::plan::Fault).
    pub(crate) faults_by_kind: [u64; 12],
    /// Messages that were lost on a healthy link.
    pub(crate) lost_messages: u64,
    pub(crate) duplicated_messages: u64,
    /// Messages that a link did not accept.
    pub(crate) unsent: u64,
    pub(crate) sessions: u64,
    pub(crate) misdirected: u64,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
    pub(crate) rerouted: u64,
    pub(crate) retried: u64,
}

/// The result of a simulation.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) events: u64,
    pub(crate) trace: u64,
    pub(crate) outcomes: Outcomes,
    pub(crate) counts: Counts,
    pub(crate) workers: usize,
    pub(crate) seconds: Vec<Second>,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut rng = Rng::new(plan.seed.wrapping_add(0xb0b));
        let load_end = plan.load;
        let values_only = plan.illness.is_some();
        let mut world = Self {
            callers: (0..plan.callers)
                .map(|_| Self::caller(&plan, 0, 0, &mut rng))
                .collect(),
            workers: (0..plan.workers)
                .map(|worker| Self::worker(&plan, worker, 0, 0, &mut rng))
                .collect(),
            links: vec![vec![Link::default(); plan.workers]; plan.callers],
            plan,
            rng,
            now: 0,
            events: BTreeMap::new(),
            sequence: 0,
            ledger: Ledger {
                values_only,
                ..Ledger::default()
            },
            history: VecDeque::new(),
            done: 0,
            trace: DefaultHasher::new(),
            log: None,
            load_end,
            last_tag: 0,
            counts: Counts::default(),
            seconds: Vec::new(),
        };
        for caller in 0..world.callers.len() {
            world.add_workers(caller);
            let first = world.rng.range(0, world.plan.pace);
            world.after(first, Event::MakeCall { caller });
        }
        if world.plan.trouble > 0 {
            let first = world.rng.range(0, 2 * world.plan.trouble);
            world.after(first, Event::InjectFault);
        }
        world
    }

    pub(crate) fn caller(plan: &Plan, incarnation: u64, offset: u64, rng: &mut Rng) -> CallerNode {
        let config = CallerConfig {
            heartbeat_interval: HEARTBEAT_INTERVAL,
            connect_grace: HEARTBEAT_INTERVAL,
            handshake_timeout: HEARTBEAT_INTERVAL * 3,
            max_queue: 16,
            max_pending_bytes: 64 << 10,
            ..CallerConfig::default()
        };
        CallerNode {
            driver: Driver::new(Caller::new(config, rng.seed())),
            incarnation,
            clock: Clock {
                offset: offset + rng.range(0, 1_000_000),
                ..Clock::default()
            },
            open: BTreeSet::new(),
            next_call: plan.seed % 1000,
            tags: HashMap::new(),
            ids: HashMap::new(),
        }
    }

    pub(crate) fn worker(
        plan: &Plan,
        worker: usize,
        incarnation: u64,
        offset: u64,
        rng: &mut Rng,
    ) -> WorkerNode {
        let config = WorkerConfig {
            name: ByteStr::from("worker"),
            operations: ledger::operations_of(worker),
            concurrency: plan.concurrency_of(worker),
            queue: Some(plan.queue),
            verified_only: true,
            max_unacknowledged: 32,
            max_unacknowledged_bytes: 8 << 10,
            stall_timeout: HEARTBEAT_INTERVAL * 10,
            ..WorkerConfig::default()
        };
        WorkerNode {
            driver: Driver::new(Worker::new(config, rng.seed())),
            incarnation,
            clock: Clock {
                offset: offset + rng.range(0, 1_000_000),
                ..Clock::default()
            },
            alive: true,
            draining: false,
            jobs: HashMap::new(),
        }
    }

    /// Returns what is wrong with a worker now.
    fn illness(&self, worker: usize) -> Option<Illness> {
        self.plan.illness.filter(|_| worker == 0 && self.now < RECOVERY)
    }

    fn second(&mut self) -> &mut Second {
        let index = (self.now / 1_000_000) as usize;
        if self.seconds.len() <= index {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }

    /// Adds all workers to a new caller.
    pub(crate) fn add_workers(&mut self, caller: usize) {
        for worker in 0..self.workers.len() {
            self.links[caller][worker].known = true;
            self.links[caller][worker].connecting = false;
            self.caller_event(
                caller,
                CallerEvent::AddPeer {
                    peer: PeerId(worker as u64),
                },
            )
            .expect("a new caller accepts workers");
            self.connect_soon(caller, worker);
        }
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((time.max(self.now), self.sequence), event);
    }

    pub(crate) fn connect_soon(&mut self, caller: usize, worker: usize) {
        if !std::mem::replace(&mut self.links[caller][worker].connecting, true) {
            let delay = self.rng.range(1_000, 40_000);
            let incarnation = self.callers[caller].incarnation;
            self.after(
                delay,
                Event::Connect {
                    caller,
                    worker,
                    incarnation,
                },
            );
        }
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push_back(format!("{:>9} {}", self.now, text()));
            if log.len() > 100 {
                log.pop_front();
            }
        }
    }

    /// Runs the simulation until a time at which all calls must have ended, and checks the final state.
    pub(crate) fn run(&mut self) -> Result<Run, String> {
        // After the last call: the longest timeout, then the detection of half-open links, then some slack.
        let end = self.load_end + self.plan.max_timeout + 1_800_000;
        while let Some((&(time, _), _)) = self.events.first_key_value() {
            if time > end {
                break;
            }
            let (_, event) = self.events.pop_first().expect("the queue is not empty");
            self.now = time;
            self.done += 1;
            self.step(event)?;
            self.check()?;
        }
        self.now = end;
        self.check_rest()?;
        for caller in &self.callers {
            let counters = caller.driver.machine.counters();
            self.counts.sessions += counters.sessions;
            self.counts.misdirected += counters.misdirected;
            self.counts.duplicates += counters.duplicates;
            self.counts.late += counters.late;
            self.counts.rerouted += counters.rerouted;
            self.counts.retried += counters.retried;
        }
        for worker in &self.workers {
            self.counts.misdirected += worker.driver.machine.counters().misdirected;
            self.counts.duplicates += worker.driver.machine.counters().duplicates;
        }
        let trace = self.trace.finish();
        Ok(Run {
            events: self.done,
            trace,
            outcomes: self.ledger.outcomes,
            counts: self.counts,
            workers: self.plan.workers,
            seconds: std::mem::take(&mut self.seconds),
        })
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        let Some(event) = self.defer_if_suspended(event) else {
            return Ok(());
        };
        self.now.hash(&mut self.trace);
        match event {
            Event::Connect {
                caller,
                worker,
                incarnation,
            } => self.connect(caller, worker, incarnation),
            Event::Deliver {
                to,
                caller,
                incarnation,
                worker,
                number,
                frames,
            } => self.deliver(to, caller, incarnation, worker, number, frames),
            Event::LinkDown {
                caller,
                incarnation,
                worker,
                number,
            } => {
                if self.callers[caller].incarnation != incarnation {
                    return Ok(());
                }
                let peer = PeerId(worker as u64);
                self.caller_event(caller, CallerEvent::LinkDown { peer, link: number })?;
                self.connect_soon(caller, worker);
                Ok(())
            }
            Event::PeerGone {
                worker,
                incarnation,
                peer,
            } => {
                if !self.workers[worker].alive || self.workers[worker].incarnation != incarnation {
                    return Ok(());
                }
                self.worker_event(worker, WorkerEvent::PeerGone { peer })
            }
            Event::WakeCaller { caller, incarnation } => {
                let node = &mut self.callers[caller];
                let clock = &mut node.clock;
                if node.incarnation != incarnation || clock.wake.is_none_or(|wake| wake > self.now) {
                    return Ok(());
                }
                clock.wake = None;
                self.caller_event(caller, CallerEvent::Wake)
            }
            Event::WakeWorker { worker, incarnation } => {
                let node = &mut self.workers[worker];
                let clock = &mut node.clock;
                if !node.alive
                    || node.incarnation != incarnation
                    || clock.wake.is_none_or(|wake| wake > self.now)
                {
                    return Ok(());
                }
                clock.wake = None;
                self.worker_event(worker, WorkerEvent::Wake)
            }
            Event::HandlerEnds {
                worker,
                incarnation,
                job,
                tag,
            } => self.handler_ends(worker, incarnation, job, tag),
            Event::MakeCall { caller } => self.make_call(caller),
            Event::CancelCall {
                caller,
                incarnation,
                tag,
            } => self.cancel_call(caller, incarnation, tag),
            Event::Resume {
                side,
                node,
                incarnation,
            } => self.resume(side, node, incarnation),
            Event::StartWorker { worker, incarnation } => {
                if self.workers[worker].incarnation == incarnation && !self.workers[worker].alive {
                    let offset = self.workers[worker].clock.offset;
                    self.workers[worker] =
                        Self::worker(&self.plan, worker, incarnation + 1, offset, &mut self.rng);
                    self.note(|| format!("worker {worker} is back"));
                }
                Ok(())
            }
            Event::InjectFault => {
                if self.now < self.load_end {
                    let next = self.rng.range(1, 2 * self.plan.trouble);
                    self.after(next, Event::InjectFault);
                    self.counts.faults += 1;
                    return self.inject_fault();
                }
                Ok(())
            }
        }
    }

    /// Keeps an event for a suspended process until the process is resumed. Returns the event otherwise.
    fn defer_if_suspended(&mut self, event: Event) -> Option<Event> {
        let clock = match &event {
            Event::Deliver {
                to: Side::Caller,
                caller,
                ..
            }
            | Event::LinkDown { caller, .. }
            | Event::WakeCaller { caller, .. }
            | Event::CancelCall { caller, .. } => &mut self.callers[*caller].clock,
            Event::Deliver {
                to: Side::Worker,
                worker,
                ..
            }
            | Event::PeerGone { worker, .. }
            | Event::WakeWorker { worker, .. }
            | Event::HandlerEnds { worker, .. } => &mut self.workers[*worker].clock,
            _ => return Some(event),
        };
        if clock.frozen {
            clock.backlog.push_back(event);
            return None;
        }
        Some(event)
    }

    fn process(&mut self, side: Side, node: usize) -> (u64, &mut Clock) {
        match side {
            Side::Caller => (self.callers[node].incarnation, &mut self.callers[node].clock),
            Side::Worker => (self.workers[node].incarnation, &mut self.workers[node].clock),
        }
    }

    pub(crate) fn freeze(&mut self, side: Side, node: usize, length: u64) {
        let (incarnation, clock) = self.process(side, node);
        if !std::mem::replace(&mut clock.frozen, true) {
            self.note(|| format!("{side:?} {node} is suspended for {length} us"));
            self.after(
                length,
                Event::Resume {
                    side,
                    node,
                    incarnation,
                },
            );
        }
    }

    fn resume(&mut self, side: Side, node: usize, incarnation: u64) -> Result<(), String> {
        let at = self.now;
        let (now, clock) = self.process(side, node);
        if now != incarnation || !std::mem::replace(&mut clock.frozen, false) {
            return Ok(());
        }
        clock.resumed_at = Some(at);
        clock.wake = None;
        let backlog = std::mem::take(&mut clock.backlog);
        self.note(|| format!("{side:?} {node} is resumed"));
        match side {
            // After a suspension, a driver may process the timer or the socket first.
            _ if self.rng.chance(500) => {}
            Side::Caller => self.caller_event(node, CallerEvent::Wake)?,
            Side::Worker if self.workers[node].alive => self.worker_event(node, WorkerEvent::Wake)?,
            Side::Worker => {}
        }
        for event in backlog {
            self.step(event)?;
        }
        match side {
            Side::Caller => self.caller_event(node, CallerEvent::Wake),
            Side::Worker if self.workers[node].alive => self.worker_event(node, WorkerEvent::Wake),
            Side::Worker => Ok(()),
        }
    }

    fn connect(&mut self, caller: usize, worker: usize, incarnation: u64) -> Result<(), String> {
        if self.callers[caller].incarnation != incarnation {
            return Ok(());
        }
        self.links[caller][worker].connecting = false;
        if self.links[caller][worker].up || !self.links[caller][worker].known {
            return Ok(());
        }
        let reachable = self.workers[worker].alive && !self.workers[worker].clock.frozen;
        if !reachable || self.callers[caller].clock.frozen {
            self.connect_soon(caller, worker);
            return Ok(());
        }
        let link = &mut self.links[caller][worker];
        link.number += 1;
        link.up = true;
        link.blocked = [false; 2];
        let number = link.number;
        self.note(|| format!("caller {caller} is connected to worker {worker}, link {number}"));
        self.caller_event(
            caller,
            CallerEvent::LinkUp {
                peer: PeerId(worker as u64),
                link: number,
            },
        )
    }

    fn deliver(
        &mut self,
        to: Side,
        caller: usize,
        incarnation: u64,
        worker: usize,
        number: u64,
        frames: Vec<Bytes>,
    ) -> Result<(), String> {
        if number <= self.links[caller][worker].void {
            return Ok(());
        }
        match to {
            Side::Caller if self.callers[caller].incarnation == incarnation => self.caller_event(
                caller,
                CallerEvent::Frames {
                    peer: PeerId(worker as u64),
                    link: number,
                    frames,
                },
            ),
            Side::Worker if self.workers[worker].alive => {
                let peer = identity(caller, incarnation, worker, number);
                self.worker_event(
                    worker,
                    WorkerEvent::Verified {
                        peer: peer.clone(),
                        key: None,
                    },
                )?;
                self.worker_event(worker, WorkerEvent::Frames { peer, frames })
            }
            _ => Ok(()),
        }
    }

    /// Sends a message over a link, with the faults of the plan.
    fn transmit(&mut self, to: Side, caller: usize, worker: usize, number: u64, frames: Vec<Bytes>) {
        let incarnation = self.callers[caller].incarnation;
        if self.plan.faults.contains(&super::plan::Fault::Replay) {
            self.history.push_back(frames.clone());
            if self.history.len() > 64 {
                self.history.pop_front();
            }
        }
        let duplicated = self.plan.duplicates > 0 && self.rng.chance(self.plan.duplicates);
        let copies = 1 + u64::from(duplicated);
        self.counts.duplicated_messages += copies - 1;
        for _ in 0..copies {
            let lost = self.plan.loss > 0 && self.now < self.load_end && self.rng.chance(self.plan.loss);
            self.counts.lost_messages += u64::from(lost);
            let delay = self.rng.range(20, self.plan.delay + 21);
            let link = &mut self.links[caller][worker];
            if lost || link.blocked[to as usize] || number <= link.void {
                continue;
            }
            let time = (self.now + delay).max(link.horizon[to as usize]);
            link.horizon[to as usize] = time;
            self.at(
                time,
                Event::Deliver {
                    to,
                    caller,
                    incarnation,
                    worker,
                    number,
                    frames: frames.clone(),
                },
            );
        }
    }

    /// Cuts a connection. Messages in flight are lost. The caller is notified after a delay, and so is the worker, if
    /// `notify_worker` is set.
    pub(crate) fn cut(&mut self, caller: usize, worker: usize, notify_worker: bool) {
        let link = &mut self.links[caller][worker];
        if !std::mem::replace(&mut link.up, false) {
            return;
        }
        let number = link.number;
        link.void = number;
        self.note(|| format!("caller {caller} is cut from worker {worker}, link {number}"));
        let incarnation = self.callers[caller].incarnation;
        let delay = self.rng.range(0, 5_000);
        self.after(
            delay,
            Event::LinkDown {
                caller,
                incarnation,
                worker,
                number,
            },
        );
        if notify_worker {
            self.peer_gone(caller, worker, number);
        }
    }

    fn peer_gone(&mut self, caller: usize, worker: usize, number: u64) {
        let peer = identity(caller, self.callers[caller].incarnation, worker, number);
        let incarnation = self.workers[worker].incarnation;
        let delay = self.rng.range(0, 5_000);
        let time = (self.now + delay).max(self.links[caller][worker].horizon[0]);
        self.at(
            time,
            Event::PeerGone {
                worker,
                incarnation,
                peer,
            },
        );
    }

    pub(crate) fn caller_event(&mut self, caller: usize, event: CallerEvent) -> Result<(), String> {
        if self.log.is_some() {
            self.note(|| format!("caller {caller} << {}", brief(&event)));
        }
        self.callers[caller].driver.handle_event(event);
        loop {
            let node = &mut self.callers[caller];
            let Some(action) = node.driver.poll_action(node.clock.at(self.now)) else {
                break;
            };
            if self.log.is_some() {
                self.note(|| format!("caller {caller}    >> {}", brief(&action)));
            }
            self.execute_for_caller(caller, action)?;
        }
        let node = &mut self.callers[caller];
        if let Some(wake) = node
            .driver
            .machine
            .next_wake()
            .map(|wake| node.clock.to_world(wake))
            && node.clock.wake.is_none_or(|set| wake < set)
        {
            node.clock.wake = Some(wake.max(self.now));
            let incarnation = node.incarnation;
            self.at(wake, Event::WakeCaller { caller, incarnation });
        }
        Ok(())
    }

    fn execute_for_caller(&mut self, caller: usize, action: CallerAction) -> Result<(), String> {
        match action {
            CallerAction::Send {
                peer,
                link,
                frames,
                call,
            } => {
                frames.last().map(|frame| frame.as_ref()).hash(&mut self.trace);
                let worker = peer.0 as usize;
                let full = self.plan.full > 0 && self.now < self.load_end && self.rng.chance(self.plan.full);
                let there = self.links[caller][worker].number == link;
                if full || !there {
                    self.counts.unsent += 1;
                    let unsent = CallerEvent::SendFailed { peer, link, call };
                    self.callers[caller].driver.handle_event(unsent);
                } else {
                    self.transmit(Side::Worker, caller, worker, link, frames);
                }
            }
            CallerAction::Accepted { call } => {
                let tag = self.callers[caller]
                    .tags
                    .get(&call)
                    .copied()
                    .ok_or("a call was accepted that is unknown or has ended")?;
                self.ledger.accept(tag)?;
            }
            CallerAction::Finish { call, outcome, .. } => {
                let node = &mut self.callers[caller];
                let tag = node.tags.remove(&call).ok_or_else(|| {
                    format!("P1: {call:?} ended twice or after it was cancelled: {outcome:?}")
                })?;
                node.ids.remove(&tag);
                let now = node.clock.at(self.now);
                let was_suspended = node.clock.resumed_at == Some(self.now);
                tag.hash(&mut self.trace);
                self.ledger.finish(tag, &outcome, now, was_suspended)?;
                let failed = outcome.as_ref().map_or(true, |reply| reply.status >= 500);
                let second = self.second();
                second.ended += 1;
                second.failed += u64::from(failed);
                let deadline = self.ledger.calls[&tag].deadline;
                self.callers[caller].open.remove(&(deadline, tag));
            }
            CallerAction::DropLink { peer, link, .. } => {
                let worker = peer.0 as usize;
                if self.links[caller][worker].number == link && self.links[caller][worker].up {
                    self.links[caller][worker].up = false;
                    let incarnation = self.callers[caller].incarnation;
                    let delay = self.rng.range(0, 2_000);
                    self.after(
                        delay,
                        Event::LinkDown {
                            caller,
                            incarnation,
                            worker,
                            number: link,
                        },
                    );
                    // Messages that were sent before may still arrive.
                    if self.rng.chance(800) {
                        self.peer_gone(caller, worker, link);
                    }
                }
            }
            CallerAction::SessionOpened { .. }
            | CallerAction::PeerEjected { .. }
            | CallerAction::PeerRestored { .. }
            | CallerAction::PeerDraining { .. } => {}
            CallerAction::ContractDiffers { peer, here, there } => {
                let as_declared = ledger::declares_as_callers(peer.0 as usize);
                let found = there.is_none_or(|there| !here.difference(&there, "").is_empty());
                if as_declared || !found {
                    return Err(format!("worker {} does not differ", peer.0));
                }
            }
            CallerAction::PeerRemoved { peer } => {
                let worker = peer.0 as usize;
                let number = self.links[caller][worker].number;
                self.links[caller][worker].known = false;
                if std::mem::replace(&mut self.links[caller][worker].up, false) {
                    self.peer_gone(caller, worker, number);
                }
            }
            other => return Err(format!("unknown action: {other:?}")),
        }
        Ok(())
    }

    pub(crate) fn worker_event(&mut self, worker: usize, event: WorkerEvent) -> Result<(), String> {
        if self.log.is_some() {
            self.note(|| format!("worker {worker} << {}", brief(&event)));
        }
        self.workers[worker].driver.handle_event(event);
        loop {
            let node = &mut self.workers[worker];
            let Some(action) = node.driver.poll_action(node.clock.at(self.now)) else {
                break;
            };
            if self.log.is_some() {
                self.note(|| format!("worker {worker}    >> {}", brief(&action)));
            }
            self.execute_for_worker(worker, action)?;
        }
        let node = &mut self.workers[worker];
        if let Some(wake) = node
            .driver
            .machine
            .next_wake()
            .map(|wake| node.clock.to_world(wake))
            && node.clock.wake.is_none_or(|set| wake < set)
        {
            node.clock.wake = Some(wake.max(self.now));
            let incarnation = node.incarnation;
            self.at(wake, Event::WakeWorker { worker, incarnation });
        }
        Ok(())
    }

    /// Returns the caller and the number of the link of a routing identity. Returns `None` for a stranger or a caller that has
    /// crashed since.
    fn find_caller(&self, peer: &Bytes) -> Option<(usize, u64)> {
        let text = std::str::from_utf8(peer).ok()?;
        let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
        let (caller, incarnation) = (parts.next()??, parts.next()??);
        let (_, number) = (parts.next()??, parts.next()??);
        let node = self.callers.get(caller as usize)?;
        (node.incarnation == incarnation).then_some((caller as usize, number))
    }

    fn execute_for_worker(&mut self, worker: usize, action: WorkerAction) -> Result<(), String> {
        match action {
            WorkerAction::Send { peer, mut frames } => {
                // The fifth byte is the kind of the message, 7 that of a response.
                if self.illness(worker) == Some(Illness::Garbles) && frames[0][5] == 7 {
                    let cut = frames[0].len() - 1;
                    frames[0].truncate(cut);
                }
                frames.last().map(|frame| frame.as_ref()).hash(&mut self.trace);
                if let Some((caller, number)) = self.find_caller(&peer)
                    && self.links[caller][worker].number == number
                {
                    self.transmit(Side::Caller, caller, worker, number, frames);
                }
            }
            WorkerAction::Start {
                job,
                request,
                deadline,
                ..
            } => {
                let node = &mut self.workers[worker];
                if node.clock.at(self.now) >= deadline {
                    return Err(format!("{job:?} started at its deadline or later"));
                }
                let tag = ledger::tag(&request.body).ok_or("a request has no tag")?;
                if request.parts != ledger::parts(tag) || request.operation != ledger::operation(tag) {
                    return Err(format!(
                        "call {tag} arrived with parts or the operation of another call"
                    ));
                }
                tag.hash(&mut self.trace);
                self.counts.starts += 1;
                let ignores_stop = self.rng.chance(100);
                if node
                    .jobs
                    .insert(
                        job,
                        Running {
                            tag,
                            ignores_stop,
                            stopped: false,
                        },
                    )
                    .is_some()
                {
                    return Err(format!("{job:?} started twice"));
                }
                let running = node.jobs.len();
                let concurrency = self.plan.concurrency_of(worker);
                if running > concurrency {
                    return Err(format!(
                        "{running} handlers run at a concurrency of {concurrency}"
                    ));
                }
                self.ledger.start(tag)?;
                let incarnation = node.incarnation;
                let is_slow = self.plan.illness.is_none() && self.rng.chance(30);
                let longest = if is_slow { 40 } else { 2 };
                let length = self.rng.range(1, longest * self.plan.work);
                let length = match self.illness(worker) {
                    Some(Illness::Fails) => 100,
                    Some(Illness::Hangs) => RECOVERY - self.now,
                    Some(Illness::Overcommits) => length * (running / self.plan.concurrency).max(1) as u64,
                    Some(Illness::Garbles) | None => length,
                };
                let second = self.second();
                second.starts += 1;
                second.ill_starts += u64::from(worker == 0);
                self.after(
                    length,
                    Event::HandlerEnds {
                        worker,
                        incarnation,
                        job,
                        tag,
                    },
                );
            }
            WorkerAction::Stop { job, .. } => {
                let node = &mut self.workers[worker];
                // The handler may have ended at the same time.
                let Some(running) = node.jobs.get_mut(&job) else {
                    return Ok(());
                };
                if std::mem::replace(&mut running.stopped, true) {
                    return Err(format!("{job:?} stopped twice"));
                }
                if !running.ignores_stop {
                    let (incarnation, tag) = (node.incarnation, running.tag);
                    self.after(
                        0,
                        Event::HandlerEnds {
                            worker,
                            incarnation,
                            job,
                            tag,
                        },
                    );
                }
            }
            WorkerAction::SessionOpened { .. } | WorkerAction::Denied { .. } => {}
            WorkerAction::Disconnect { peer } => {
                if let Some((caller, number)) = self.find_caller(&peer)
                    && self.links[caller][worker].number == number
                {
                    self.cut(caller, worker, false);
                }
            }
            WorkerAction::Drained => {
                if !self.workers[worker].draining || !self.workers[worker].jobs.is_empty() {
                    return Err(format!(
                        "worker {worker} reports that it is drained, but it is not"
                    ));
                }
                self.counts.drained += 1;
                self.note(|| format!("worker {worker} is drained"));
                // The process lingers: the messages that it sent still arrive.
                self.end_worker(worker, false);
            }
            other => return Err(format!("unknown action: {other:?}")),
        }
        Ok(())
    }

    /// Ends the process of a worker and schedules its restart. If it ends abruptly, messages in flight are lost.
    pub(crate) fn end_worker(&mut self, worker: usize, abruptly: bool) {
        let node = &mut self.workers[worker];
        node.alive = false;
        node.clock.frozen = false;
        node.clock.backlog.clear();
        node.jobs.clear();
        let incarnation = node.incarnation;
        let pause = self.rng.range(1_000, 300_000);
        self.after(pause, Event::StartWorker { worker, incarnation });
        for caller in 0..self.callers.len() {
            if abruptly {
                self.cut(caller, worker, false);
                continue;
            }
            let link = &mut self.links[caller][worker];
            if std::mem::replace(&mut link.up, false) {
                let (number, time) = (link.number, link.horizon[1].max(self.now) + 1);
                let incarnation = self.callers[caller].incarnation;
                self.at(
                    time,
                    Event::LinkDown {
                        caller,
                        incarnation,
                        worker,
                        number,
                    },
                );
            }
        }
    }

    fn handler_ends(&mut self, worker: usize, incarnation: u64, job: JobId, tag: Tag) -> Result<(), String> {
        let node = &mut self.workers[worker];
        if !node.alive || node.incarnation != incarnation {
            return Ok(());
        }
        let fails = self.illness(worker) == Some(Illness::Fails);
        let node = &mut self.workers[worker];
        let Some(running) = node.jobs.remove(&job) else {
            return Ok(());
        };
        let reply = (!running.stopped || running.ignores_stop).then(|| WireReply {
            status: if fails { 500 } else { 200 },
            outcome: self.ledger.outcome(tag),
            parts: ledger::parts(tag),
            body: ledger::body(tag, self.rng.range(8, 2_000) as usize),
            ..WireReply::default()
        });
        self.worker_event(worker, WorkerEvent::Finished { job, reply })
    }

    fn make_call(&mut self, caller: usize) -> Result<(), String> {
        if self.now >= self.load_end {
            return Ok(());
        }
        let next = self.rng.range(1, 2 * self.plan.pace);
        self.after(next, Event::MakeCall { caller });
        if self.callers[caller].clock.frozen {
            return Ok(());
        }
        let node = &mut self.callers[caller];
        node.next_call += 1;
        let call = CallNumber(node.next_call);
        self.last_tag += 1;
        let tag = self.last_tag;
        let deadline = node.clock.at(self.now)
            + Duration::from_micros(self.rng.range(self.plan.min_timeout, self.plan.max_timeout));
        let request = CallRequest {
            body: ledger::body(tag, self.rng.range(8, 1_000) as usize),
            parts: ledger::parts(tag),
            operation: ledger::operation(tag).into(),
            contract: ledger::CONTRACT,
            idempotent: self.rng.chance(self.plan.idempotent),
            nowait: self.rng.chance(self.plan.nowait),
            ..CallRequest::new("request", "/work")
        };
        self.counts.calls += 1;
        let entry = Entry {
            deadline,
            idempotent: request.idempotent,
            nowait: request.nowait,
            accepted: false,
            starts: 0,
            state: State::Open,
        };
        self.ledger.calls.insert(tag, entry);
        node.tags.insert(call, tag);
        node.ids.insert(tag, call);
        node.open.insert((deadline, tag));
        if self.rng.chance(self.plan.give_up) {
            let delay = self.rng.range(1, self.plan.max_timeout);
            let incarnation = node.incarnation;
            self.after(
                delay,
                Event::CancelCall {
                    caller,
                    incarnation,
                    tag,
                },
            );
        }
        let options = CallOptions {
            wait_for_ready: self.rng.chance(self.plan.wait_for_ready),
            declaration: Some(ledger::DECLARATION),
        };
        self.note(|| format!("caller {caller} calls {tag}, until {deadline:?}"));
        self.caller_event(
            caller,
            CallerEvent::Call {
                call,
                request: request.into(),
                deadline,
                options,
            },
        )
    }

    fn cancel_call(&mut self, caller: usize, incarnation: u64, tag: Tag) -> Result<(), String> {
        let node = &mut self.callers[caller];
        if node.incarnation != incarnation {
            return Ok(());
        }
        let Some(call) = node.ids.remove(&tag) else {
            return Ok(());
        };
        node.tags.remove(&call);
        let entry = self
            .ledger
            .calls
            .get_mut(&tag)
            .ok_or("a call was cancelled but never made")?;
        entry.state = State::Cancelled;
        node.open.remove(&(entry.deadline, tag));
        self.ledger.outcomes.cancelled += 1;
        self.caller_event(caller, CallerEvent::Cancel { call })
    }
}

fn brief(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(110) {
        Some((end, _)) => format!("{} ..", &text[..end]),
        None => text,
    }
}
