//! A runtime with watched tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};

use super::task::{TaskRef, WatchdogTask};

/// The time that a probe may take before the tasks of its runtime are taken over.
const PROBE_TIMEOUT: Duration = Duration::from_millis(100);

/// The time after which blocked threads are worth a warning.
const WARN_AFTER: Duration = Duration::from_secs(1);

/// The number of checks in a row that find a task not polled before it is taken over.
const MAX_DUE_CHECKS: u8 = 2;

/// A runtime, its watched tasks, and its probe.
pub(super) struct WatchedRuntime {
    handle: Handle,
    tasks: Vec<TaskEntry>,
    probe: Option<SentProbe>,
    is_taken: bool,
    is_warned: bool,
}

struct TaskEntry {
    task: TaskRef,
    owner_polls: u64,
    /// The number of checks since the task was last found polled or not due.
    due_checks: u8,
    is_taken: bool,
}

impl TaskEntry {
    fn new(task: TaskRef) -> Self {
        Self {
            task,
            owner_polls: 0,
            due_checks: 0,
            is_taken: false,
        }
    }

    /// Returns `false` if the task has ended.
    fn check(&mut self) -> bool {
        let Some(task) = self.task.upgrade() else {
            return false;
        };
        if task.is_finished() {
            return false;
        }
        let owner_polls = task.owner_polls();
        if owner_polls != self.owner_polls {
            self.owner_polls = owner_polls;
            self.due_checks = 0;
            if std::mem::take(&mut self.is_taken) {
                task.hand_back();
            }
        } else if !self.is_taken && task.is_due() {
            self.due_checks += 1;
            if self.due_checks >= MAX_DUE_CHECKS {
                self.is_taken = true;
                task.take_over_work();
            }
        }
        true
    }
}

impl WatchedRuntime {
    pub(super) fn new(handle: Handle, task: TaskRef) -> Self {
        Self {
            handle,
            tasks: vec![TaskEntry::new(task)],
            probe: None,
            is_taken: false,
            is_warned: false,
        }
    }

    pub(super) fn id(&self) -> Id {
        self.handle.id()
    }

    pub(super) fn add(&mut self, task: TaskRef) {
        self.tasks.push(TaskEntry::new(task));
    }

    /// Checks the runtime and its tasks. Returns `false` if there is nothing left to watch.
    pub(super) fn check(&mut self, now: Instant) -> bool {
        let _context = self.handle.enter();
        self.tasks.retain_mut(TaskEntry::check);
        if self.tasks.is_empty() {
            return false;
        }
        match &self.probe {
            None if self.may_be_blocked() => self.probe = Some(SentProbe::send(&self.handle, now)),
            None => {}
            Some(probe) => match probe.state() {
                ProbeState::Waiting => {
                    let waited = now.saturating_duration_since(probe.sent_at);
                    self.is_taken |= waited >= PROBE_TIMEOUT;
                    if waited >= WARN_AFTER && !std::mem::replace(&mut self.is_warned, true) {
                        tracing::warn!(
                            "a tokio runtime has run no task for {WARN_AFTER:?}, because all of its threads are blocked or it is \
                             not driven; its connections stay alive, but it handles no messages"
                        );
                    }
                }
                ProbeState::Ran => {
                    self.is_warned = false;
                    if std::mem::take(&mut self.is_taken) {
                        self.live_tasks().for_each(|task| task.hand_back());
                    }
                    self.probe = self.may_be_blocked().then(|| SentProbe::send(&self.handle, now));
                }
                ProbeState::Dropped => return false,
            },
        }
        true
    }

    /// Polls the tasks that are taken over. Returns `true` if there are any.
    pub(super) fn poll_taken(&self) -> bool {
        let mut taken = self
            .tasks
            .iter()
            .filter(|entry| self.is_taken || entry.is_taken)
            .filter_map(|entry| entry.task.upgrade())
            .peekable();
        if taken.peek().is_none() {
            return false;
        }
        // New tasks and sockets belong to the runtime.
        let _context = self.handle.enter();
        taken.for_each(WatchdogTask::poll_directly);
        true
    }

    fn live_tasks(&self) -> impl Iterator<Item = Arc<dyn WatchdogTask>> + '_ {
        self.tasks.iter().filter_map(|entry| entry.task.upgrade())
    }

    /// Returns `false` if all threads are parked: the last one that has parked polls the drivers.
    #[cfg(target_has_atomic = "64")]
    fn may_be_blocked(&self) -> bool {
        let metrics = self.handle.metrics();
        // An even count means that the thread is not parked.
        (0..metrics.num_workers()).any(|worker| metrics.worker_park_unpark_count(worker).is_multiple_of(2))
    }

    #[cfg(not(target_has_atomic = "64"))]
    fn may_be_blocked(&self) -> bool {
        true
    }
}

/// A task that does nothing, and shows that a thread of its runtime is free.
struct SentProbe {
    state: Arc<AtomicU8>,
    sent_at: Instant,
}

enum ProbeState {
    Waiting,
    Ran,
    /// The runtime was shut down.
    Dropped,
}

const WAITING: u8 = 0;
const RAN: u8 = 1;
const DROPPED: u8 = 2;

impl SentProbe {
    fn send(handle: &Handle, now: Instant) -> Self {
        let state = Arc::new(AtomicU8::new(WAITING));
        let probe = DropDetector(state.clone());
        handle.spawn(async move { probe.0.store(RAN, Ordering::Release) });
        Self { state, sent_at: now }
    }

    fn state(&self) -> ProbeState {
        match self.state.load(Ordering::Acquire) {
            WAITING => ProbeState::Waiting,
            RAN => ProbeState::Ran,
            _ => ProbeState::Dropped,
        }
    }
}

/// Part of the future of a probe, which a runtime drops when it is shut down.
struct DropDetector(Arc<AtomicU8>);

impl Drop for DropDetector {
    fn drop(&mut self) {
        let _ = self
            .0
            .compare_exchange(WAITING, DROPPED, Ordering::AcqRel, Ordering::Acquire);
    }
}
