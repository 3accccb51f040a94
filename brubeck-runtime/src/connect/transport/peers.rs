//! Who is connected to a bound socket, and what waits for each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::counts::Counters;
use super::{Limits, Peer};

/// Every peer of one socket. What is sent to one goes straight to the task of its connection.
#[derive(Debug)]
pub(crate) struct Peers {
    /// `None` once the socket is closing.
    connected: Mutex<Option<HashMap<Peer, Queue>>>,
    max_bytes: usize,
    max_messages: usize,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
struct Queue {
    messages: mpsc::UnboundedSender<Vec<Bytes>>,
    account: Arc<Account>,
}

/// What waits in a queue; `Limits` bound it.
#[derive(Debug, Default)]
pub(crate) struct Account {
    bytes: AtomicUsize,
    messages: AtomicUsize,
    cut: Notify,
}

/// The socket takes nothing more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Peers {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            connected: Mutex::new(Some(HashMap::new())),
            max_bytes: limits.queued_bytes,
            max_messages: limits.queued_messages,
            counters: Counters::default(),
        })
    }

    /// Lets a peer in; `None` while another living one has this name, and once the socket is closing.
    pub(crate) fn join(self: &Arc<Self>, peer: Peer) -> Option<Connected> {
        let mut connected = self.lock();
        let connected = connected
            .as_mut()
            .filter(|connected| !connected.contains_key(&peer))?;
        let (queue, messages) = mpsc::unbounded_channel();
        let account = Arc::<Account>::default();
        let entry = Queue {
            messages: queue,
            account: account.clone(),
        };
        connected.insert(peer.clone(), entry);
        Some(Connected {
            peers: self.clone(),
            peer,
            account,
            messages,
        })
    }

    /// Queues a message. A peer that does not take what waits for it is cut off.
    pub(crate) fn send(&self, peer: &Peer, frames: Vec<Bytes>) -> Result<(), Closed> {
        let connected = self.lock();
        let Some(queue) = connected.as_ref().ok_or(Closed)?.get(peer) else {
            self.counters.gone(1);
            return Ok(());
        };
        if !queue
            .account
            .take_in(size(&frames), self.max_bytes, self.max_messages)
        {
            self.counters.stalled();
            queue.account.cut.notify_one();
            tracing::warn!(?peer, "cutting off a peer that does not read its messages");
        } else if queue.messages.send(frames).is_ok() {
            self.counters.sent();
        } else {
            self.counters.gone(1);
        }
        Ok(())
    }

    /// Has the connection of a peer closed, whatever is under way.
    pub(crate) fn cut(&self, peer: &Peer) -> Result<(), Closed> {
        if let Some(queue) = self.lock().as_ref().ok_or(Closed)?.get(peer) {
            queue.account.cut.notify_one();
        }
        Ok(())
    }

    /// Takes nothing more; each connection ends when all that waits for its peer has left.
    pub(crate) fn close(&self) {
        let closed = self.lock().take();
        drop(closed);
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<Peer, Queue>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Notes a message that is to wait; refuses if too much would. One message may be of any size.
    fn take_in(&self, size: usize, max_bytes: usize, max_messages: usize) -> bool {
        let (bytes, messages) = (self.bytes.load(Relaxed), self.messages.load(Relaxed));
        if messages > 0 && (messages >= max_messages || bytes.saturating_add(size) > max_bytes) {
            return false;
        }
        self.bytes.fetch_add(size, Relaxed);
        self.messages.fetch_add(1, Relaxed);
        true
    }

    /// Notes that the peer has taken so many messages with so many bytes.
    pub(crate) fn left(&self, messages: usize, bytes: usize) {
        self.messages.fetch_sub(messages, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// Waits until the peer is to be cut off.
    pub(crate) async fn until_cut(&self) {
        self.cut.notified().await;
    }
}

/// The bytes of a message.
pub(crate) fn size(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

/// A peer that is connected, as its connection sees it. Dropped, its name is free again.
#[derive(Debug)]
pub(crate) struct Connected {
    peers: Arc<Peers>,
    pub(crate) peer: Peer,
    pub(crate) account: Arc<Account>,
    /// What waits for it; ends once the socket is closing.
    pub(crate) messages: mpsc::UnboundedReceiver<Vec<Bytes>>,
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
    async fn what_waits_is_bounded_but_one_message_always_fits() {
        let peers = peers(100, 2);
        let mut connected = peers.join(Peer::new("x")).unwrap();
        let send = |size: usize| {
            let before = peers.counters.read().sent;
            peers
                .send(&Peer::new("x"), vec![Bytes::from(vec![0; size])])
                .unwrap();
            peers.counters.read().sent > before
        };
        assert!(send(1000));
        assert!(!send(1), "too many bytes");
        connected.account.until_cut().await;
        let mut taken = Vec::new();
        assert_eq!(connected.messages.recv_many(&mut taken, 9).await, 1);
        connected.account.left(1, 1000);
        assert!(send(1) && send(1));
        assert!(!send(1), "too many messages");
        drop(connected);
        assert!(!send(1), "it is gone");
        let counts = peers.counters.read();
        assert_eq!((counts.sent, counts.stalled, counts.gone), (3, 2, 1));
    }

    #[tokio::test]
    async fn a_closed_socket_still_sends_what_it_had_taken() {
        let peers = peers(100, 9);
        let mut connected = peers.join(Peer::new("x")).unwrap();
        let frames = vec![Bytes::from("last")];
        peers.send(&Peer::new("x"), frames.clone()).unwrap();
        peers.close();
        assert!(peers.send(&Peer::new("x"), frames.clone()).is_err());
        let mut taken = Vec::new();
        assert_eq!(connected.messages.recv_many(&mut taken, 9).await, 1);
        assert_eq!(taken, [frames]);
        assert_eq!(connected.messages.recv_many(&mut taken, 9).await, 0);
    }
}
