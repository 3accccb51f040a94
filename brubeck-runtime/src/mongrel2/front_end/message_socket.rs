//! The client of a message socket that is kept, to be sent messages that answer nothing.

use super::pipeline::OutboundChunk;
use super::websocket::{FrontEndEvent, FrontEndHandle, WINDOW};
use crate::websocket::{
    BroadcastEncoding, BroadcastGroup, ClientId as Ticket, Close, Closed, SocketMessage, SocketTransport,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// One client, as the loop keeps it. Dropped with its connection, which whoever sends to it sees.
#[derive(Debug)]
pub(super) struct MessageSocketClient {
    ticket: Ticket,
    window: Arc<Semaphore>,
    gone: Arc<Semaphore>,
}

impl MessageSocketClient {
    pub(super) fn new(ticket: Ticket) -> MessageSocketClient {
        MessageSocketClient {
            // All messages of a connection are of the same client.
            ticket: Ticket { number: 0, ..ticket },
            window: Arc::new(Semaphore::new(WINDOW)),
            gone: Arc::new(Semaphore::new(0)),
        }
    }

    /// A way to it.
    pub(super) fn way(&self, link: &Arc<FrontEndHandle>) -> Arc<dyn SocketTransport> {
        Arc::new(MessageSocketCarrier {
            ticket: self.ticket.clone(),
            window: self.window.clone(),
            gone: self.gone.clone(),
            link: link.clone(),
        })
    }

    /// Whether somebody has a way to it.
    pub(super) fn is_kept(&self) -> bool {
        Arc::strong_count(&self.gone) > 1
    }

    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }
}

impl Drop for MessageSocketClient {
    fn drop(&mut self) {
        self.window.close();
        self.gone.close();
    }
}

/// The way to one client.
struct MessageSocketCarrier {
    ticket: Ticket,
    window: Arc<Semaphore>,
    /// Never has a place, and is closed with the connection.
    gone: Arc<Semaphore>,
    link: Arc<FrontEndHandle>,
}

impl SocketTransport for MessageSocketCarrier {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            let bytes = BroadcastEncoding::NulTerminated.encode(&message);
            let room = bytes.len().min(WINDOW) as u32;
            let window = self.window.clone();
            let place = window.acquire_many_owned(room).await.map_err(|_| Closed)?;
            let event = FrontEndEvent::Push {
                ticket: self.ticket.clone(),
                piece: OutboundChunk::placed(bytes, place),
            };
            self.link.0.send(event).await.map_err(|_| Closed)
        })
    }

    fn send_or_disconnect(&self, bytes: bytes::Bytes) {
        let to = vec![self.ticket.clone()];
        self.link.tell(FrontEndEvent::BroadcastOutcome { to, bytes });
    }

    fn encoding(&self) -> BroadcastEncoding {
        BroadcastEncoding::NulTerminated
    }

    fn close(&self, close: Close) {
        self.link.tell(FrontEndEvent::Shut {
            ticket: self.ticket.clone(),
            close,
        });
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { drop(self.gone.acquire().await) })
    }

    fn group(&self) -> Option<(Arc<dyn BroadcastGroup>, Ticket)> {
        Some((self.link.clone(), self.ticket.clone()))
    }
}
