//! Sends to one client of a socket. WebSockets and message sockets share this part of their sending sides.

use super::events::{FrontEndEvent, FrontEndHandle};
use crate::websocket::{
    BroadcastEncoding, BroadcastRoute, BroadcastTarget, ClientId, Close, Closed, ReadProgress,
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that the handlers of one socket may have queued for the client before sending waits.
pub(in crate::mongrel2) const SEND_WINDOW_BYTES: usize = 256 << 10;

#[derive(Clone, Debug)]
pub(super) struct SocketClientSender {
    /// Identifies the socket in this process.
    pub(super) id: u64,
    pub(super) client: ClientId,
    pub(super) send_permits: Arc<Semaphore>,
    /// Has no permits. It is closed when the connection is.
    pub(super) disconnected: Arc<Semaphore>,
    pub(super) reading: Arc<ReadProgress>,
    pub(super) front_end: Arc<FrontEndHandle>,
}

impl SocketClientSender {
    /// Waits for space in the send window.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Closed> {
        // A message that is larger than the window takes all of it.
        let permits = bytes.min(SEND_WINDOW_BYTES) as u32;
        let permit = self.send_permits.clone().acquire_many_owned(permits).await;
        permit.map_err(|_| Closed)
    }

    pub(super) async fn send(&self, event: FrontEndEvent) -> Result<(), Closed> {
        self.front_end.0.send(event).await.map_err(|_| Closed)
    }

    pub(super) fn close(&self, close: Close) {
        // From now on sending fails, for all senders of the socket.
        self.send_permits.close();
        self.front_end.send_event(FrontEndEvent::CloseSocket {
            client: self.client.clone(),
            close,
        });
    }

    pub(super) async fn closed(&self) {
        // Acquiring ends with an error when the connection is closed.
        drop(self.disconnected.acquire().await);
    }

    pub(super) fn broadcast_route(&self, encoding: BroadcastEncoding) -> BroadcastRoute {
        BroadcastRoute {
            id: self.id,
            encoding,
            reading: self.reading.clone(),
            target: BroadcastTarget::Group(self.front_end.clone(), self.client.clone()),
        }
    }
}
