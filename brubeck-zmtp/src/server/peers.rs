//! The connected peers of a server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::queue::{BoundedQueue, MessageCounters};
use crate::{RoutingId, ServerLimits};

/// The connected peers of one server, each with its send queue.
#[derive(Debug)]
pub(crate) struct PeerTable {
    /// `None` once the server is closing.
    connected: Mutex<Option<HashMap<RoutingId, Arc<BoundedQueue>>>>,
    limits: ServerLimits,
    pub(crate) counters: MessageCounters,
}

/// An error: the server is closing.
#[derive(Debug)]
pub(crate) struct ServerClosed;

/// The reason why a peer was not registered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RegisterError {
    /// A peer with this identity is connected.
    IdentityInUse,
    /// The server is closing.
    ServerClosed,
}

impl PeerTable {
    pub(crate) fn new(limits: &ServerLimits) -> Arc<Self> {
        Arc::new(Self {
            connected: Mutex::new(Some(HashMap::new())),
            limits: limits.clone(),
            counters: MessageCounters::default(),
        })
    }

    /// Registers a peer. Returns an error if its identity is already connected or the server is closing.
    pub(crate) fn register(self: &Arc<Self>, peer: RoutingId) -> Result<RegisteredPeer, RegisterError> {
        let mut connected = self.lock();
        let connected = connected.as_mut().ok_or(RegisterError::ServerClosed)?;
        if connected.contains_key(&peer) {
            return Err(RegisterError::IdentityInUse);
        }
        let queue = Arc::<BoundedQueue>::default();
        connected.insert(peer.clone(), queue.clone());
        Ok(RegisteredPeer {
            table: self.clone(),
            peer,
            queue,
        })
    }

    /// Queues a message for its peer. Drops the message if the peer is not connected. If the queue of the peer is full, drops
    /// the message and disconnects the peer.
    #[inline]
    pub(crate) fn send(&self, peer: &RoutingId, frames: Vec<Bytes>) -> Result<(), ServerClosed> {
        // Locked until the message is in the queue. If `close` came in between, the connection could end without sending it.
        let connected = self.lock();
        let Some(queue) = connected.as_ref().ok_or(ServerClosed)?.get(peer) else {
            self.counters.record_dropped(1);
            return Ok(());
        };
        if queue.push(frames, &self.limits) {
            self.counters.record_sent(1);
        } else {
            self.counters.record_stalled();
            queue.disconnect();
            tracing::warn!(
                ?peer,
                "disconnecting a peer that is too slow, its send queue is full"
            );
        }
        Ok(())
    }

    /// Closes the connection of a peer immediately. Messages that are queued for it are dropped.
    pub(crate) fn disconnect(&self, peer: &RoutingId) -> Result<(), ServerClosed> {
        if let Some(queue) = self.lock().as_ref().ok_or(ServerClosed)?.get(peer) {
            queue.disconnect();
        }
        Ok(())
    }

    /// Admits a peer. Does nothing if the peer is not connected.
    pub(crate) fn admit(&self, peer: &RoutingId) -> Result<(), ServerClosed> {
        if let Some(queue) = self.lock().as_ref().ok_or(ServerClosed)?.get(peer) {
            queue.admit();
        }
        Ok(())
    }

    /// Stops accepting messages and peers. Each connection ends when its queue has been sent.
    pub(crate) fn close(&self) {
        let closed = self.lock().take();
        closed
            .iter()
            .flat_map(HashMap::values)
            .for_each(|queue| queue.close());
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<RoutingId, Arc<BoundedQueue>>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registration of a connected peer. Dropping it releases the identity.
#[derive(Debug)]
pub(crate) struct RegisteredPeer {
    table: Arc<PeerTable>,
    pub(crate) peer: RoutingId,
    /// Messages to the peer.
    pub(crate) queue: Arc<BoundedQueue>,
}

impl Drop for RegisteredPeer {
    fn drop(&mut self) {
        if let Some(connected) = self.table.lock().as_mut() {
            connected.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(peer_queue_bytes: usize, peer_queue_messages: usize) -> Arc<PeerTable> {
        PeerTable::new(&ServerLimits {
            peer_queue_bytes,
            peer_queue_messages,
            ..ServerLimits::default()
        })
    }

    #[test]
    fn refuses_a_second_peer_with_the_same_identity() {
        let peers = peers(1, 1);
        let register = || peers.register(RoutingId::new("x"));
        let first = register().unwrap();
        assert_eq!(register().unwrap_err(), RegisterError::IdentityInUse);
        drop(first);
        let second = register().unwrap();
        peers.close();
        drop(second);
        assert_eq!(register().unwrap_err(), RegisterError::ServerClosed);
    }

    #[tokio::test]
    async fn disconnects_a_peer_whose_queue_is_full() {
        let peers = peers(100, 2);
        let connected = peers.register(RoutingId::new("x")).unwrap();
        let send = |size: usize| peers.send(&RoutingId::new("x"), vec![Bytes::from(vec![0; size])]);
        send(1000).unwrap();
        send(1).unwrap();
        connected.queue.disconnect_requested().await;
        drop(connected);
        send(1).unwrap();
        let counts = peers.counters.read();
        assert_eq!((counts.sent, counts.stalled, counts.dropped), (1, 1, 1));
    }

    #[tokio::test]
    async fn close_keeps_accepted_messages() {
        let peers = peers(100, 9);
        let connected = peers.register(RoutingId::new("x")).unwrap();
        let frames = vec![Bytes::from("last")];
        peers.send(&RoutingId::new("x"), frames.clone()).unwrap();
        peers.close();
        assert!(peers.send(&RoutingId::new("x"), frames.clone()).is_err());
        let mut taken = Vec::new();
        assert_eq!(connected.queue.take(&mut taken).await, 1);
        assert_eq!(std::mem::take(&mut taken), [frames]);
        assert_eq!(connected.queue.take(&mut taken).await, 0);
    }
}
