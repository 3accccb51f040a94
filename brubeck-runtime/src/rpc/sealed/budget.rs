//! The budget of handshakes, which the addresses that connect share.

use brubeck_zmtp::source_address;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// The time of the processor that one handshake of a server takes, rounded up, and the share of one core that handshakes may take
/// in the long run: a quarter.
const HANDSHAKE_COST: Duration = Duration::from_micros(250);
const SHARE: u32 = 4;

/// The interval between two handshakes while more of them wait.
const INTERVAL: Duration = HANDSHAKE_COST.saturating_mul(SHARE);

/// The number of handshakes that begin at once after an idle time.
const BURST: u32 = 256;

/// Limits the handshakes of a server to 1,000 in a second, after a burst of 256.
///
/// While more of them wait, the addresses take turns, so that a flood from one address delays the handshakes of others by one turn
/// only. An address is an IPv4 address, or a network of 64 bits in IPv6, which one host may have. Unix sockets count as one address.
#[derive(Clone, Debug, Default)]
pub(super) struct HandshakeBudget(Arc<Mutex<BudgetState>>);

#[derive(Debug, Default)]
struct BudgetState {
    /// The time at which the whole burst is available again.
    full_at: Option<Instant>,
    waiting: HashMap<Option<IpAddr>, VecDeque<oneshot::Sender<()>>>,
    /// The addresses with waiting handshakes, in the order of their turns.
    turns: VecDeque<Option<IpAddr>>,
    /// A task begins the waiting handshakes.
    is_dispensing: bool,
}

impl HandshakeBudget {
    /// Waits until a handshake of this address may begin. The number of waiting handshakes is not limited here: the limit of
    /// connections whose handshake is not complete bounds it.
    pub(super) async fn acquire(&self, address: Option<IpAddr>) {
        let waiting = {
            let mut state = self.lock();
            if state.turns.is_empty() && state.take(Instant::now()) {
                return;
            }
            let (sender, receiver) = oneshot::channel();
            let address = address.map(source_address);
            let queue = state.waiting.entry(address).or_default();
            let was_empty = queue.is_empty();
            // In a flood, the connections that wait for the longest time lose their places to new ones.
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
            queue.push_back(sender);
            if was_empty {
                state.turns.push_back(address);
            }
            if !std::mem::replace(&mut state.is_dispensing, true) {
                tokio::spawn(dispense(self.clone()));
            }
            receiver
        };
        // The sender is dropped only if the runtime ends.
        let _ = waiting.await;
    }

    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BudgetState {
    /// Takes one handshake from the budget, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + INTERVAL;
        let available = full_at <= now + INTERVAL * BURST;
        if available {
            self.full_at = Some(full_at);
        }
        available
    }

    /// Begins the next handshake in the order of turns. Skips those whose connection has ended.
    fn begin_next(&mut self) {
        while let Some(address) = self.turns.pop_front() {
            let Some(queue) = self.waiting.get_mut(&address) else {
                continue;
            };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&address);
            } else {
                self.turns.push_back(address);
            }
            if next.is_some_and(|sender| sender.send(()).is_ok()) {
                return;
            }
        }
    }
}

/// Begins the waiting handshakes as the budget allows, until none waits.
async fn dispense(budget: HandshakeBudget) {
    loop {
        {
            let mut state = budget.lock();
            while !state.turns.is_empty() && state.take(Instant::now()) {
                state.begin_next();
            }
            if state.turns.is_empty() {
                state.is_dispensing = false;
                return;
            }
        }
        sleep_until(Instant::now() + INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn flood_of_one_address_delays_another_one_by_one_turn() {
        let budget = HandshakeBudget::default();
        let flood = IpAddr::from([10, 0, 0, 1]);
        let begun = Arc::new(Mutex::new(0));
        for _ in 0..2_000 {
            let (budget, begun) = (budget.clone(), begun.clone());
            tokio::spawn(async move {
                budget.acquire(Some(flood)).await;
                *begun.lock().unwrap() += 1;
            });
        }
        tokio::task::yield_now().await;
        let start = Instant::now();
        budget.acquire(Some(IpAddr::from([10, 0, 0, 2]))).await;
        assert!(start.elapsed() <= 4 * INTERVAL, "{:?}", start.elapsed());
        tokio::time::sleep_until(start + Duration::from_secs(1)).await;
        let begun = *begun.lock().unwrap();
        // A timer has a resolution of 1 ms, which is the interval.
        assert!((BURST..=BURST + 1_001).contains(&begun), "{begun}");
    }

    #[tokio::test(start_paused = true)]
    async fn handshake_of_a_connection_that_ended_takes_no_turn() {
        let budget = HandshakeBudget::default();
        for _ in 0..BURST {
            budget.acquire(None).await;
        }
        let mut ended = Box::pin(budget.acquire(None));
        assert!(futures_util::poll!(&mut ended).is_pending());
        drop(ended);
        budget.acquire(None).await;
        assert!(budget.lock().waiting.is_empty() && budget.lock().turns.is_empty());
    }
}
