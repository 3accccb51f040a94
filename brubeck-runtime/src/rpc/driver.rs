//! Drives a state machine of the protocol: a caller, a worker, or either of them in the simulation.
//!
//! [`Driver`] knows no socket, clock or thread: events go in with [`handle_event`](Driver::handle_event), and whoever has
//! the sockets carries out the actions that [`poll_action`](Driver::poll_action) gives, and calls again at
//! [`poll_timeout`](Driver::poll_timeout). Both sides of a connection do so under one lock, taken for each event, so no task
//! stands between a call and its socket.

use super::core::{Caller, CallerAction, CallerEvent, Moment, Worker, WorkerAction, WorkerEvent};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A state machine of the protocol.
pub trait StateMachine {
    /// What happens to it.
    type Event;
    /// What it asks for.
    type Action;

    /// Takes an event, and adds the actions that it asks for.
    fn handle_event(&mut self, now: Moment, event: Self::Event, actions: &mut Vec<Self::Action>);

    /// When it wants to be told that time has passed.
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

/// A machine with the actions that it asked for, and the events that wait until those are carried out.
pub struct Driver<M: StateMachine> {
    /// The machine.
    pub machine: M,
    /// In reverse, and kept from event to event, so that none allocates.
    actions: Vec<M::Action>,
    events: VecDeque<M::Event>,
    /// The timeout that was given out last.
    armed: Option<Moment>,
}

impl<M: StateMachine> Driver<M> {
    /// Drives this machine.
    pub fn new(machine: M) -> Driver<M> {
        Driver {
            machine,
            actions: Vec::new(),
            events: VecDeque::new(),
            armed: None,
        }
    }

    /// Takes an event. One that comes while actions are carried out waits until all of them are.
    pub fn handle_event(&mut self, event: M::Event) {
        self.events.push_back(event);
    }

    /// The next action to carry out; `None` once the machine is at rest.
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

    /// When the machine wants to be woken. It is woken then unless [`timeout_changed`](Self::timeout_changed) says that it
    /// wants it sooner.
    pub fn poll_timeout(&mut self) -> Option<Moment> {
        self.armed = self.machine.next_wake();
        self.armed
    }

    /// The time at which the machine wants to be woken, if that is sooner than it was told last.
    pub fn timeout_changed(&mut self) -> Option<Moment> {
        let next = self.machine.next_wake()?;
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        self.armed = Some(next);
        self.armed
    }
}

/// The clock of one machine.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        self.0.elapsed()
    }

    pub(crate) fn moment(self, instant: Instant) -> Moment {
        instant.saturating_duration_since(self.0)
    }

    pub(crate) fn instant(self, moment: Moment) -> Instant {
        // A moment that the clock cannot tell will not be seen by anybody.
        self.0
            .checked_add(moment)
            .unwrap_or(self.0 + Moment::from_secs(1 << 30))
    }
}

/// What a timer wakes.
pub(crate) trait TimerTarget: Send + Sync + 'static {
    /// When it wants to be woken next.
    fn next_wake(&self) -> Option<Instant>;
    /// It is time.
    fn wake(self: &Arc<Self>);
}

/// TimerTarget a machine at the time it wants, until it is gone; `timer_changed` says that the time has changed.
pub(crate) async fn run_timer(machine: Weak<impl TimerTarget>, timer_changed: Arc<Notify>) {
    loop {
        let Some(next) = machine.upgrade().map(|machine| machine.next_wake()) else {
            return;
        };
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => match machine.upgrade() {
                Some(machine) => machine.wake(),
                None => return,
            },
            () = timer_changed.notified() => {}
        }
    }
}

/// What makes the sessions of a process unlike those of any other.
pub(crate) fn random_seed() -> crate::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| crate::Error::because("the system gives no random numbers", error))?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for an action for each event, and for one that leads to another event.
    #[derive(Default)]
    struct Echo(Option<u64>);

    impl StateMachine for Echo {
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
    fn an_event_of_an_action_waits_for_the_other_actions() {
        let mut driver = Driver::new(Echo::default());
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
    fn only_a_sooner_timeout_is_told() {
        let mut driver = Driver::new(Echo::default());
        assert_eq!((driver.timeout_changed(), driver.poll_timeout()), (None, None));
        for (event, sooner) in [(5, true), (5, false), (7, false), (3, true)] {
            driver.handle_event(event);
            while driver.poll_action(Moment::ZERO).is_some() {}
            let expected = sooner.then(|| Moment::from_secs(event));
            assert_eq!(driver.timeout_changed(), expected, "{event}");
        }
    }
}
