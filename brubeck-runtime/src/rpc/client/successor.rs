//! The successor of a worker that drains: another process that takes over its address.
//!
//! A worker that drains has closed its listener and keeps its connections until its calls have ended. The link to it would connect
//! to the successor only after that. So the pool opens a second link to the same address, and keeps the one that opens a session.

use super::{PoolInner, PoolState};
use crate::rpc::core::{CallerEvent, PeerId};
use std::time::Duration;
use tokio::time::Instant;

/// The time for which a worker counts as new. Behind a proxy, a new connection may lead to the worker that drains.
const NEW_WORKER: Duration = Duration::from_secs(5);

/// The wait before a new worker that drains is replaced.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The place of a worker in a succession.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// The worker that this one succeeds, until this one has opened a session.
    predecessor: Option<PeerId>,
    /// The time at which this worker was added as a successor.
    since: Option<Instant>,
}

impl PoolState {
    /// Connects to the address of a worker that drains.
    pub(super) fn find_successor(&self, peer: PeerId) {
        let since = self.workers.get(&peer).and_then(|worker| worker.succession.since);
        let is_new = since.is_some_and(|since| since.elapsed() < NEW_WORKER);
        let pool = self.pool.clone();
        self.runtime.spawn(async move {
            if is_new {
                tokio::time::sleep(RETRY_DELAY).await;
            }
            if let Some(pool) = pool.upgrade() {
                pool.connect_successor(peer);
            }
        });
    }

    /// Removes one of two workers with the same address, once the other one has opened a session.
    pub(super) fn settle_succession(&mut self, peer: PeerId) {
        let predecessor = self
            .workers
            .get_mut(&peer)
            .and_then(|worker| worker.succession.predecessor.take());
        if let Some(predecessor) = predecessor {
            return self.remove_if_known(predecessor);
        }
        let mut workers = self.workers.iter();
        let successor = workers.find(|(_, worker)| worker.succession.predecessor == Some(peer));
        let Some(successor) = successor.map(|(successor, _)| *successor) else {
            return;
        };
        // The link of the drained worker has reconnected first, and its session is that of the successor.
        let pool = self.pool.clone();
        self.runtime.spawn(async move {
            if let Some(pool) = pool.upgrade() {
                pool.keep_reconnected(peer, successor);
            }
        });
    }

    /// Removes the predecessor of a worker that was removed before it had opened a session.
    pub(super) fn end_succession(&mut self, succession: &Succession) {
        if let Some(predecessor) = succession.predecessor {
            self.remove_if_known(predecessor);
        }
    }

    fn remove_if_known(&mut self, peer: PeerId) {
        if self.workers.contains_key(&peer) {
            self.driver.handle_event(CallerEvent::RemovePeer { peer });
        }
    }
}

impl PoolInner {
    fn connect_successor(self: &std::sync::Arc<Self>, peer: PeerId) {
        let mut addresses = self.addresses();
        // If it is not found, the address was removed.
        let Some((endpoint, worker)) = addresses.worker_mut(peer) else {
            return;
        };
        let succession = Succession {
            predecessor: Some(peer),
            since: Some(Instant::now()),
        };
        match self.connect(endpoint.clone(), succession) {
            Ok(successor) => *worker = successor,
            // The link of the worker connects to the successor later.
            Err(error) => {
                tracing::debug!(%endpoint, %error, "cannot connect to the successor of a worker yet")
            }
        }
    }

    /// Keeps a worker whose link has reconnected, and removes the successor that has no session.
    fn keep_reconnected(&self, peer: PeerId, successor: PeerId) {
        let mut addresses = self.addresses();
        let mut state = self.lock();
        let Some(connection) = state.workers.get_mut(&successor) else {
            return;
        };
        // `None` if the successor has opened a session.
        if connection.succession.predecessor.take().is_none() {
            return;
        }
        if let Some((_, worker)) = addresses.worker_mut(successor) {
            *worker = peer;
        }
        self.step(&mut state, CallerEvent::RemovePeer { peer: successor });
    }
}
