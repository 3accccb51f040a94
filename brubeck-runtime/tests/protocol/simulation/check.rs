//! The invariants that are checked after each event and at the end of a simulation.

use brubeck_runtime::protocol::ConnectivityState;

use super::ledger::State;
use super::world::World;

impl World {
    /// Checks the invariants that hold at any time: deadlines, bounds and consistent counts.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for (index, caller) in self.callers.iter().enumerate() {
            let now = caller.clock.at(self.now);
            if let Some((deadline, tag)) = caller.open.first()
                && *deadline < now
                && !caller.clock.frozen
            {
                return Err(format!(
                    "P1: call {tag} of caller {index} is open at {now:?}, its deadline was {deadline:?}"
                ));
            }
            let core = &caller.driver.machine;
            let in_flight: usize = core.peers().map(|peer| peer.in_flight).sum();
            if core.pending() != caller.tags.len() {
                return Err(format!(
                    "caller {index} has {} calls, not {}",
                    core.pending(),
                    caller.tags.len()
                ));
            }
            if in_flight + core.queued() > core.pending() {
                return Err(format!(
                    "caller {index}: {in_flight} in flight, {} queued, {} in all",
                    core.queued(),
                    core.pending()
                ));
            }
            if core.pending_bytes() > 64 << 10 {
                return Err(format!("caller {index} holds {} bytes", core.pending_bytes()));
            }
            let max_timers = 2 * (2 * core.pending() + core.peers().count()) + 80;
            if core.timer_count() > max_timers {
                return Err(format!(
                    "caller {index} has {} timers, more than {max_timers}",
                    core.timer_count()
                ));
            }
        }
        for (index, worker) in self.workers.iter().enumerate() {
            let view = worker.driver.machine.view();
            let concurrency = self.plan.concurrency_of(index);
            let capacity = concurrency + self.plan.queue;
            let (messages, bytes) = view.unacknowledged;
            // The byte limit may be exceeded by one message: the window is checked before the message is added.
            let out_of_bounds = view.running > concurrency
                || view.queued > self.plan.queue
                || view.leased > capacity + view.sessions
                || messages > 32
                || bytes > (8 << 10) + 4096
                || view.timer_count > 2 * (view.running + view.queued + 2 * view.sessions) + 80;
            if out_of_bounds {
                return Err(format!("worker {index} is out of bounds: {view:?}"));
            }
            if worker.alive && worker.jobs.len() != view.running {
                return Err(format!(
                    "worker {index}: {} handlers run, but it counts {}",
                    worker.jobs.len(),
                    view.running
                ));
            }
        }
        Ok(())
    }

    /// Checks the final state: no calls or handlers are left, and each caller has a session and credit with each of its workers that is
    /// alive and not draining.
    pub(crate) fn check_rest(&mut self) -> Result<(), String> {
        for (tag, entry) in &self.ledger.calls {
            if entry.state == State::Open {
                return Err(format!("P1: call {tag} never ended: {entry:?}"));
            }
        }
        for (index, caller) in self.callers.iter().enumerate() {
            let core = &caller.driver.machine;
            if core.pending() + core.queued() + core.pending_bytes() > 0 {
                return Err(format!(
                    "caller {index} has {} calls, {} bytes left",
                    core.pending(),
                    core.pending_bytes()
                ));
            }
            for peer in core.peers() {
                let worker = &self.workers[peer.peer.0 as usize];
                if peer.in_flight > 0 {
                    return Err(format!("caller {index}: calls left in flight: {peer:?}"));
                }
                if worker.alive && !worker.draining && peer.state != ConnectivityState::Ready {
                    return Err(format!(
                        "caller {index} has no session with a live worker: {peer:?}"
                    ));
                }
                if worker.alive && !worker.draining && peer.free == 0 {
                    return Err(format!("caller {index} has no credit: {peer:?}"));
                }
            }
        }
        for (index, worker) in self.workers.iter().enumerate().filter(|(_, worker)| worker.alive) {
            let view = worker.driver.machine.view();
            if view.running + view.queued + view.stopping + view.held > 0 {
                return Err(format!("worker {index}: work left over: {view:?}"));
            }
            let sessions: usize = self
                .callers
                .iter()
                .map(|caller| caller.driver.machine.peers())
                .map(|peers| {
                    peers
                        .filter(|peer| {
                            peer.peer.0 as usize == index && peer.state == ConnectivityState::Ready
                        })
                        .count()
                })
                .sum();
            if view.sessions > sessions && !worker.draining {
                return Err(format!(
                    "worker {index} has {} sessions with {sessions} callers",
                    view.sessions
                ));
            }
        }
        Ok(())
    }
}
