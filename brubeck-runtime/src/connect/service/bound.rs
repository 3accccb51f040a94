//! A service that callers come to: brubeck's own protocol and the dialects of the original on one ROUTER.

use super::super::Stop;
use super::super::transport::{LINGER, Peer, Server, ServerEvent, ServerOutbox};
use super::super::v2::Sessions;
use super::answering::{Answering, Arrived};
use crate::wire::v2::is_v2;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// The fewest events that are worth taking one after the other.
const BATCH: usize = 16;

pub(super) struct Bound {
    answering: Arc<Answering>,
    sessions: Sessions,
    /// Handlers that run for callers in dialects of the original.
    places: Arc<Semaphore>,
    slots: usize,
    handlers: JoinSet<()>,
    by_peer: HashMap<Peer, Vec<AbortHandle>>,
}

impl Bound {
    pub(super) fn new(answering: Arc<Answering>, slots: usize, sessions: Sessions) -> Bound {
        Bound {
            answering,
            sessions,
            places: Arc::new(Semaphore::new(slots)),
            slots,
            handlers: JoinSet::new(),
            by_peer: HashMap::new(),
        }
    }

    pub(super) async fn serve(mut self, mut server: Server, mut stop: Stop) {
        let (mut stopping, mut idle) = (false, false);
        // Where there are more, they take handlers off this one's hands.
        let one_thread = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        while !(stopping && idle && self.handlers.is_empty()) {
            tokio::select! {
                () = stop.requested(), if !stopping => {
                    stopping = true;
                    self.sessions.drain();
                }
                () = self.sessions.idle(), if stopping && !idle => idle = true,
                Some(_) = self.handlers.join_next() => {}
                event = server.inbound.recv() => match event {
                    Some(event) => {
                        // The first half is answered, and on its way, while the second is still worked on.
                        let batch = (server.inbound.len() / 2).max(BATCH);
                        let more = std::iter::from_fn(|| server.inbound.try_recv()).take(batch);
                        for event in std::iter::once(event).chain(more) {
                            self.take(event, &server.outbound, stopping);
                        }
                        if one_thread {
                            tokio::task::yield_now().await;
                        }
                    }
                    None => return,
                },
            }
        }
        server.shutdown(LINGER).await;
    }

    fn take(&mut self, event: ServerEvent, outbound: &ServerOutbox, stopping: bool) {
        match event {
            ServerEvent::Message { peer, frames } if is_v2(&frames) => self.sessions.take(&peer, frames),
            ServerEvent::Message { peer, frames } => self.legacy(peer, frames, outbound, stopping),
            ServerEvent::Gone { peer } => self.gone(&peer),
        }
    }

    fn legacy(&mut self, peer: Peer, frames: Vec<Bytes>, outbound: &ServerOutbox, stopping: bool) {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) if !stopping => Some(place),
            _ => None,
        };
        let (answering, outbound) = (self.answering.clone(), outbound.clone());
        let arrived = Arrived::from_router(&peer, frames);
        let handler = self
            .handlers
            .spawn(async move { answering.take(arrived, outbound, place).await });
        if self.by_peer.len() > self.slots {
            // Not every peer that leaves is told of.
            self.by_peer
                .retain(|_, handlers| handlers.iter().any(|handler| !handler.is_finished()));
        }
        let handlers = self.by_peer.entry(peer).or_default();
        handlers.retain(|handler| !handler.is_finished());
        handlers.push(handler);
    }

    fn gone(&mut self, peer: &Peer) {
        self.sessions.gone(peer);
        self.by_peer
            .remove(peer)
            .into_iter()
            .flatten()
            .for_each(|handler| handler.abort());
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.sessions.stop();
    }
}
