//! Retries: calls that were lost or rejected are sent again. A retry that adds load is charged to the retry budget.

use super::queue::CallState;
use super::{CallNumber, Caller, CallerAction, CallerConfig, CallerTimer, PeerId};
use crate::rpc::api::CallError;
use crate::rpc::core::entropy::Entropy;
use crate::rpc::core::{MIN_RETRY_AFTER, Moment};
use std::time::Duration;

/// The budget is counted in thousandths of a retry.
const ONE_RETRY: u64 = 1000;
/// Each call adds 10 % of a retry.
const DEPOSIT_PER_CALL: u64 = 100;
/// Each millisecond adds 1 % of a retry: 10 retries per second.
const DEPOSIT_PER_MILLISECOND: u64 = 10;
const INITIAL_BUDGET: u64 = 100 * ONE_RETRY;
const MAX_BUDGET: u64 = 1000 * ONE_RETRY;

/// The maximum number of times that the upper bound of the retry delay is doubled.
const MAX_DELAY_DOUBLINGS: u8 = 6;

/// A token bucket that keeps retries from making an overload worse.
#[derive(Debug)]
pub(super) struct RetryBudget {
    balance: u64,
    last_refill: Moment,
}

impl RetryBudget {
    pub(super) const fn new() -> Self {
        Self {
            balance: INITIAL_BUDGET,
            last_refill: Duration::ZERO,
        }
    }

    /// Adds the share of one call.
    pub(super) fn deposit(&mut self) {
        self.balance = (self.balance + DEPOSIT_PER_CALL).min(MAX_BUDGET);
    }

    /// Adds the share of the time since the last withdrawal, then takes one retry. Returns `false` if the budget is exhausted.
    fn withdraw(&mut self, now: Moment) -> bool {
        let elapsed = now.saturating_sub(self.last_refill).as_millis();
        let earned = u64::try_from(elapsed)
            .unwrap_or(u64::MAX)
            .saturating_mul(DEPOSIT_PER_MILLISECOND);
        self.last_refill = now;
        self.balance = self.balance.saturating_add(earned).min(MAX_BUDGET);
        match self.balance.checked_sub(ONE_RETRY) {
            Some(balance) => {
                self.balance = balance;
                true
            }
            None => false,
        }
    }
}

/// The cost of sending a call again, charged to the retry budget.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryBudgetCost {
    /// The worker spent no time on the call.
    Free,
    /// The retry adds to the load of the workers.
    One,
}

/// Returns the delay before a retry after `attempts` attempts: full jitter, with a bound that begins at `base` and doubles with
/// each further attempt.
fn jittered_delay(base: Duration, attempts: u8, entropy: &mut Entropy) -> Duration {
    let doublings = attempts.saturating_sub(1).min(MAX_DELAY_DOUBLINGS);
    let longest = base.saturating_mul(1 << doublings);
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(entropy.below(micros.saturating_add(1)))
}

impl Caller {
    /// Retries or fails a call whose worker is gone or gave it up. A call that may have run is retried only if it is idempotent,
    /// neither its attempts, its runs nor the retry budget are exhausted, and the process is not shutting down.
    pub(super) fn handle_lost_call(
        &mut self,
        id: CallNumber,
        may_have_run: bool,
        reason: &'static str,
        actions: &mut Vec<CallerAction>,
    ) {
        let lost = CallError::lost(may_have_run).because(reason);
        if !may_have_run {
            return self.reroute(id, RetryBudgetCost::Free, lost, actions);
        }
        let CallerConfig {
            max_attempts,
            max_runs,
            ..
        } = self.config;
        let Some(pending) = self.calls.get_mut(&id) else {
            return;
        };
        pending.lost_runs = pending.lost_runs.saturating_add(1);
        let may_retry = pending.request.idempotent
            && pending.attempts < max_attempts
            && pending.lost_runs < max_runs
            && !self.closing;
        if !may_retry || !self.charge_retry(RetryBudgetCost::One) {
            return self.finish(id, Err(lost), actions);
        }
        let Some(pending) = self.calls.get_mut(&id) else {
            return;
        };
        let retry_at =
            self.now + jittered_delay(self.config.retry_delay, pending.attempts, &mut self.entropy);
        pending.state = CallState::RetryDelay(retry_at);
        self.counters.retried += 1;
        self.queue.delay(id);
        self.timers.set(retry_at, CallerTimer::Retry(id));
        self.recheck_availability = true;
    }

    /// Puts a call that its worker has not begun, and never will, at the front of the queue. Fails the call with `error` if its
    /// attempts or the retry budget are exhausted, and with `ShuttingDown` if the process is shutting down.
    pub(super) fn reroute(
        &mut self,
        id: CallNumber,
        cost: RetryBudgetCost,
        error: CallError,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(pending) = self.calls.get(&id) else {
            return;
        };
        if self.closing {
            return self.finish(id, Err(CallError::shutting_down()), actions);
        }
        if pending.attempts >= self.config.max_attempts || !self.charge_retry(cost) {
            return self.finish(id, Err(error), actions);
        }
        self.counters.rerouted += 1;
        let state = CallState::Queued(self.queue.push_front(id));
        if let Some(pending) = self.calls.get_mut(&id) {
            pending.state = state;
        }
        self.recheck_availability = true;
    }

    /// Charges the retry budget. Returns `false` if it is exhausted.
    fn charge_retry(&mut self, cost: RetryBudgetCost) -> bool {
        let within_budget = cost == RetryBudgetCost::Free || self.retry_budget.withdraw(self.now);
        if !within_budget {
            self.counters.over_budget += 1;
        }
        within_budget
    }

    /// Queues a call whose retry delay is over.
    pub(super) fn requeue(&mut self, id: CallNumber) {
        if self.queue.remove_delayed(id)
            && let Some(pending) = self.calls.get_mut(&id)
        {
            pending.state = CallState::Queued(self.queue.push_back(id));
        }
    }

    /// Reroutes a call whose request the link did not accept.
    ///
    /// Other messages may be lost: a handshake times out and begins again, a ping is followed by another, and a worker that gets
    /// no cancellation stops the handler at its deadline.
    pub(super) fn send_failed(
        &mut self,
        from: PeerId,
        link: u64,
        call: Option<CallNumber>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(id) = call else { return };
        let Some(pending) = self.calls.get(&id) else {
            return;
        };
        let CallState::Sent {
            peer: sent_to,
            request_id,
            ..
        } = pending.state
        else {
            return;
        };
        let Some(peer) = self
            .peers
            .get_mut(&sent_to)
            .filter(|peer| sent_to == from && peer.link == link)
        else {
            return;
        };
        // The link is full or about to go down, so pause before sending the next call.
        peer.busy_until = self.now + MIN_RETRY_AFTER;
        if peer
            .ready_mut()
            .is_some_and(|ready| ready.in_flight.remove(&request_id).is_some())
        {
            let error = CallError::lost(false);
            self.reroute(id, RetryBudgetCost::Free, error, actions);
            self.remove_peer_if_done(sent_to, actions);
        }
        self.schedule_wake(sent_to);
    }
}
