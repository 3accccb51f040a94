//! Who is connected to a bound socket, and what waits for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::queue::bounded::Backlog;
use crate::queue::counts::Counters;
use crate::{Limits, Peer};

/// Every peer of one socket. What is sent to one goes straight to the task of its connection.
#[derive(Debug)]
pub struct Peers {
    /// `None` once the socket is closing.
    connected: Mutex<Option<HashMap<Peer, Arc<Backlog>>>>,
    limits: Limits,
    pub counters: Counters,
}

/// The socket takes nothing more.
#[derive(Debug)]
pub struct Closed;

impl Peers {
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            connected: Mutex::new(Some(HashMap::new())),
            limits: limits.clone(),
            counters: Counters::default(),
        })
    }

    /// Lets a peer in; `None` while another living one has this name, and once the socket is closing.
    pub fn join(self: &Arc<Self>, peer: Peer) -> Option<Connected> {
        let mut connected = self.lock();
        let connected = connected
            .as_mut()
            .filter(|connected| !connected.contains_key(&peer))?;
        let backlog = Arc::<Backlog>::default();
        connected.insert(peer.clone(), backlog.clone());
        Some(Connected {
            peers: self.clone(),
            peer,
            backlog,
        })
    }

    /// Queues a message. A peer that does not take what waits for it is cut off.
    pub fn send(&self, peer: &Peer, frames: Vec<Bytes>) -> Result<(), Closed> {
        let connected = self.lock();
        let Some(backlog) = connected.as_ref().ok_or(Closed)?.get(peer) else {
            self.counters.gone(1);
            return Ok(());
        };
        if backlog.add(frames, &self.limits) {
            self.counters.sent();
        } else {
            self.counters.stalled();
            backlog.cut();
            tracing::warn!(?peer, "cutting off a peer that does not read its messages");
        }
        Ok(())
    }

    /// Has the connection of a peer closed, whatever is under way.
    pub fn cut(&self, peer: &Peer) -> Result<(), Closed> {
        if let Some(backlog) = self.lock().as_ref().ok_or(Closed)?.get(peer) {
            backlog.cut();
        }
        Ok(())
    }

    /// Takes nothing more; each connection ends when all that waits for its peer has left.
    pub fn close(&self) {
        let closed = self.lock().take();
        closed
            .iter()
            .flat_map(HashMap::values)
            .for_each(|backlog| backlog.close());
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<Peer, Arc<Backlog>>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a message.
pub fn size(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

/// A peer that is connected, as its connection sees it. Dropped, its name is free again.
#[derive(Debug)]
pub struct Connected {
    peers: Arc<Peers>,
    pub peer: Peer,
    /// What waits for it; ends once the socket is closing.
    pub backlog: Arc<Backlog>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(connected) = self.peers.lock().as_mut() {
            connected.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(queued_bytes: usize, queued_messages: usize) -> Arc<Peers> {
        Peers::new(&Limits {
            queued_bytes,
            queued_messages,
            ..Limits::default()
        })
    }

    #[test]
    fn a_name_belongs_to_one_living_peer() {
        let peers = peers(1, 1);
        let first = peers.join(Peer::new("x")).unwrap();
        assert!(peers.join(Peer::new("x")).is_none());
        drop(first);
        let second = peers.join(Peer::new("x"));
        assert!(second.is_some());
        peers.close();
        drop(second);
        assert!(peers.join(Peer::new("x")).is_none(), "nobody comes in any more");
    }

    #[tokio::test]
    async fn who_does_not_take_what_waits_is_cut_off() {
        let peers = peers(100, 2);
        let connected = peers.join(Peer::new("x")).unwrap();
        let send = |size: usize| peers.send(&Peer::new("x"), vec![Bytes::from(vec![0; size])]);
        send(1000).unwrap();
        send(1).unwrap();
        connected.backlog.until_cut().await;
        drop(connected);
        send(1).unwrap();
        let counts = peers.counters.read();
        assert_eq!((counts.sent, counts.stalled, counts.gone), (1, 1, 1));
    }

    #[tokio::test]
    async fn a_closed_socket_still_sends_what_it_had_taken() {
        let peers = peers(100, 9);
        let connected = peers.join(Peer::new("x")).unwrap();
        let frames = vec![Bytes::from("last")];
        peers.send(&Peer::new("x"), frames.clone()).unwrap();
        peers.close();
        assert!(peers.send(&Peer::new("x"), frames.clone()).is_err());
        let mut taken = Vec::new();
        assert_eq!(connected.backlog.take(&mut taken).await, 1);
        assert_eq!(std::mem::take(&mut taken), [frames]);
        assert_eq!(connected.backlog.take(&mut taken).await, 0);
    }
}
