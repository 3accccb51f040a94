//! The driver of a protocol state machine, used by callers, workers and the simulator.
//!
//! [`Driver`] does no I/O. Its owner passes events to [`handle_event`](Driver::handle_event), executes the actions that
//! [`poll_action`](Driver::poll_action) returns, and passes a wake event at [`poll_timeout`](Driver::poll_timeout). Callers and
//! workers do so under a lock that they take for each event, so no channel or task sits between a call and its socket.
//!
//! `run_timer` wakes the owner at the timeouts of its driver.

use super::core::{Caller, CallerAction, CallerEvent, Moment, Worker, WorkerAction, WorkerEvent};
use brubeck_zmtp::watchdog::sleep_until;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A protocol state machine.
pub trait StateMachine {
    /// The input.
    type Event;
    /// The output, to be executed by the owner of the driver.
    type Action;

    /// Processes an event, and appends the resulting actions.
    fn handle_event(&mut self, now: Moment, event: Self::Event, actions: &mut Vec<Self::Action>);

    /// Returns the time by which the next event must be passed, if only a wake event; `None` if there is nothing to wait for.
    fn next_wake(&self) -> Option<Moment>;
}

impl StateMachine for Caller {
    type Event = CallerEvent;
    type Action = CallerAction;

    fn handle_event(&mut self, now: Moment, event: CallerEvent, actions: &mut Vec<CallerAction>) {
        Caller::handle_event(self, now, event, actions);
    }

    fn next_wake(&self) -> Option<Moment> {
        Caller::next_wake(self)
    }
}

impl StateMachine for Worker {
    type Event = WorkerEvent;
    type Action = WorkerAction;

    fn handle_event(&mut self, now: Moment, event: WorkerEvent, actions: &mut Vec<WorkerAction>) {
        Worker::handle_event(self, now, event, actions);
    }

    fn next_wake(&self) -> Option<Moment> {
        Worker::next_wake(self)
    }
}

/// A state machine with its pending actions, and the events that wait until those are executed.
pub struct Driver<M: StateMachine> {
    /// The state machine.
    pub machine: M,
    /// In reverse order. The buffer is reused for all events, so that most events are processed without an allocation.
    actions: Vec<M::Action>,
    events: VecDeque<M::Event>,
    /// The timeout that was returned last.
    scheduled_timeout: Option<Moment>,
}

impl<M: StateMachine> Driver<M> {
    /// Creates a driver for a state machine.
    pub fn new(machine: M) -> Driver<M> {
        Driver {
            machine,
            actions: Vec::new(),
            events: VecDeque::new(),
            scheduled_timeout: None,
        }
    }

    /// Queues an event. [`poll_action`](Self::poll_action) processes it once all pending actions have been returned.
    pub fn handle_event(&mut self, event: M::Event) {
        self.events.push_back(event);
    }

    /// Returns the next action to execute, or `None` if no actions or events are left. `now` is the time of the events that are
    /// processed for it.
    pub fn poll_action(&mut self, now: Moment) -> Option<M::Action> {
        loop {
            if let Some(action) = self.actions.pop() {
                return Some(action);
            }
            let event = self.events.pop_front()?;
            self.machine.handle_event(now, event, &mut self.actions);
            self.actions.reverse();
        }
    }

    /// Returns the time at which to pass a wake event, unless [`timeout_changed`](Self::timeout_changed) returns an earlier one
    /// before. Returns `None` if there is nothing to wait for.
    pub fn poll_timeout(&mut self) -> Option<Moment> {
        self.scheduled_timeout = self.machine.next_wake();
        self.scheduled_timeout
    }

    /// Returns the timeout if it is earlier than the one that was returned last, or if none was returned. A later timeout is not
    /// reported: the wake event at the earlier one is harmless.
    pub fn timeout_changed(&mut self) -> Option<Moment> {
        let next = self.machine.next_wake()?;
        if self.scheduled_timeout.is_some_and(|scheduled| scheduled <= next) {
            return None;
        }
        self.scheduled_timeout = Some(next);
        self.scheduled_timeout
    }
}

/// The lead of tokio's clock over real time from which it counts as paused. It is not 0, because the two origins are read one after the
/// other.
const MAX_CLOCK_DIFFERENCE: Moment = Moment::from_millis(250);

/// A clock whose origin is its creation.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    /// The same instant by the clock of the operating system. Tests can pause and advance the clock of tokio.
    real_origin: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            origin: Instant::now(),
            real_origin: std::time::Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Moment {
        self.origin.elapsed()
    }

    /// Returns `true` if the clock of tokio has advanced further than real time, because it is paused.
    pub(crate) fn has_jumped(self) -> bool {
        self.now() > self.real_origin.elapsed() + MAX_CLOCK_DIFFERENCE
    }

    pub(crate) fn moment(self, instant: Instant) -> Moment {
        instant.saturating_duration_since(self.origin)
    }

    pub(crate) fn instant(self, moment: Moment) -> Instant {
        // A moment that is not representable as an instant is too far away to matter. Use 34 years after the origin instead.
        self.origin
            .checked_add(moment)
            .unwrap_or(self.origin + Moment::from_secs(1 << 30))
    }
}

/// An object with a timer that [`run_timer`] drives.
pub(crate) trait TimerTarget: Send + Sync + 'static {
    /// Returns the time of the next wake-up; `None` to wait for a notification.
    fn next_wake(&self) -> Option<Instant>;
    /// Called at the time that `next_wake` returned, or shortly after.
    fn wake(self: &Arc<Self>);
}

/// Wakes `target` at the times that it requests, until it is dropped.
///
/// The target must notify `timer_changed` if its next time becomes earlier, so that it is woken in time. It must also do so when it is
/// dropped, so that this future ends at once.
pub(crate) async fn run_timer(target: Weak<impl TimerTarget>, timer_changed: Arc<Notify>) {
    loop {
        let Some(next) = target.upgrade().map(|target| target.next_wake()) else {
            return;
        };
        let due = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => match target.upgrade() {
                Some(target) => target.wake(),
                None => return,
            },
            () = timer_changed.notified() => {}
        }
    }
}

/// Returns a seed for the random numbers of a state machine, from the operating system.
pub(crate) fn random_seed() -> crate::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        crate::Error::because("the operating system did not provide random numbers", error)
    })?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns two actions for each event. The last event is the time of its next wake-up, in seconds.
    #[derive(Default)]
    struct TwoActions(Option<u64>);

    impl StateMachine for TwoActions {
        type Event = u64;
        type Action = u64;

        fn handle_event(&mut self, _: Moment, event: u64, actions: &mut Vec<u64>) {
            self.0 = Some(event);
            actions.extend([event * 10, event * 10 + 1]);
        }

        fn next_wake(&self) -> Option<Moment> {
            self.0.map(Moment::from_secs)
        }
    }

    #[test]
    fn event_queued_by_an_action_waits_for_the_other_actions() {
        let mut driver = Driver::new(TwoActions::default());
        driver.handle_event(1);
        let mut seen = Vec::new();
        while let Some(action) = driver.poll_action(Moment::ZERO) {
            seen.push(action);
            if action == 10 {
                driver.handle_event(2);
            }
        }
        assert_eq!(seen, [10, 11, 20, 21]);
    }

    #[test]
    fn timeout_changed_returns_only_earlier_timeouts() {
        let mut driver = Driver::new(TwoActions::default());
        assert_eq!((driver.timeout_changed(), driver.poll_timeout()), (None, None));
        for (event, sooner) in [(5, true), (5, false), (7, false), (3, true)] {
            driver.handle_event(event);
            while driver.poll_action(Moment::ZERO).is_some() {}
            let expected = sooner.then(|| Moment::from_secs(event));
            assert_eq!(driver.timeout_changed(), expected, "{event}");
        }
    }
}
