//! A service that callers come to: brubeck's own protocol and the dialects of the original on one ROUTER.

use super::super::Stop;
use super::super::v2::Sessions;
use super::answering::{Answering, Arrived};
use crate::wire::v2::is_v2;
use brubeck_zmtp::{LINGER, Peer, Server, ServerEvent, ServerSender};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

pub(super) struct Bound {
    sessions: Sessions,
    legacy: Arc<Legacy>,
}

impl Bound {
    pub(super) fn new(answering: Arc<Answering>, slots: usize, sessions: Sessions) -> Bound {
        let legacy = Arc::new(Legacy {
            answering,
            places: Arc::new(Semaphore::new(slots)),
            slots,
            handlers: Mutex::default(),
        });
        Bound { sessions, legacy }
    }

    /// Serves until it is time to stop, and then until what was taken is answered.
    pub(super) async fn serve(self, mut server: Server, mut stop: Stop) {
        let (sessions, legacy) = (self.sessions.clone(), self.legacy.clone());
        let outbound = server.outbound.clone();
        // Each message is read, and often answered, by the task of its connection: none waits for another task.
        server.inbound.set_handler(move |event| match event {
            ServerEvent::Message { peer, frames } if is_v2(&frames) => sessions.take(&peer, frames),
            ServerEvent::Message { peer, frames } => legacy.take(peer, frames, &outbound),
            ServerEvent::Disconnected { peer } => {
                sessions.gone(&peer);
                legacy.gone(&peer);
            }
        });
        stop.requested().await;
        self.sessions.drain();
        self.legacy.places.close();
        self.sessions.idle().await;
        self.legacy.idle().await;
        server.shutdown(LINGER).await;
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.sessions.stop();
        self.legacy.stop();
    }
}

/// Callers in dialects of the original.
struct Legacy {
    answering: Arc<Answering>,
    /// Handlers that may run; closed when it is time to stop.
    places: Arc<Semaphore>,
    slots: usize,
    handlers: Mutex<Handlers>,
}

#[derive(Default)]
struct Handlers {
    running: JoinSet<()>,
    by_peer: HashMap<Peer, Vec<AbortHandle>>,
}

impl Legacy {
    fn lock(&self) -> MutexGuard<'_, Handlers> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, peer: Peer, frames: Vec<Bytes>, outbound: &ServerSender) {
        let place = self.places.clone().try_acquire_owned().ok();
        let (answering, outbound) = (self.answering.clone(), outbound.clone());
        let arrived = Arrived::from_router(&peer, frames);
        let mut handlers = self.lock();
        while handlers.running.try_join_next().is_some() {}
        let handler = handlers
            .running
            .spawn(async move { answering.take(arrived, outbound, place).await });
        if handlers.by_peer.len() > self.slots {
            // Not every peer that leaves is told of.
            handlers
                .by_peer
                .retain(|_, handlers| handlers.iter().any(|handler| !handler.is_finished()));
        }
        let of_peer = handlers.by_peer.entry(peer).or_default();
        of_peer.retain(|handler| !handler.is_finished());
        of_peer.push(handler);
    }

    fn gone(&self, peer: &Peer) {
        let handlers = self.lock().by_peer.remove(peer);
        handlers.into_iter().flatten().for_each(|handler| handler.abort());
    }

    /// Returns when every request that was taken is answered.
    async fn idle(&self) {
        loop {
            let mut running = std::mem::take(&mut self.lock().running);
            if running.is_empty() {
                return;
            }
            while running.join_next().await.is_some() {}
        }
    }

    fn stop(&self) {
        self.lock().running.abort_all();
    }
}
