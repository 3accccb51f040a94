//! The events for the event loop of a front end. They are sent by the tasks of requests, the bodies of streamed uploads, and
//! the sending sides of sockets.

use super::pipeline::{OutboundChunk, ResponseEnd};
use crate::websocket::{BroadcastGroup, ClientId, Close, GroupMessage, GroupPermit};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::mpsc;

/// An event for the event loop of a front end.
#[derive(Debug)]
pub(in crate::mongrel2) enum FrontEndEvent {
    /// A part of the response to a request. The last part has an `end`. Also each message of a WebSocket, which belongs
    /// to the response to its handshake and has no `end`.
    Response {
        client: ClientId,
        chunks: Vec<OutboundChunk>,
        end: Option<ResponseEnd>,
    },
    /// The application accepted a WebSocket. `head` is the head of the 101 response, and `message_limit` the limit of the route for
    /// messages, in bytes.
    WebSocketAccepted {
        client: ClientId,
        head: Bytes,
        message_limit: Option<usize>,
    },
    /// A WebSocket or a message socket is to be closed: by its handler, or because the handler panicked.
    CloseSocket { client: ClientId, close: Close },
    /// A message to the client of a message socket that is not the response to a request.
    Push { client: ClientId, chunk: OutboundChunk },
    /// A message of a broadcast, for several clients.
    Broadcast(GroupMessage),
    /// A client does not read, and too much of a broadcast waits for it.
    CutOff { client: ClientId },
    /// The client of a streamed upload may send this many more bytes.
    GrantUploadCredit { client: ClientId, bytes: u32 },
}

/// A handle to the event loop of one front end.
#[derive(Debug)]
pub(in crate::mongrel2) struct FrontEndHandle(pub(in crate::mongrel2) mpsc::Sender<FrontEndEvent>);

impl FrontEndHandle {
    /// Sends an event without waiting. It is ignored if the event loop has ended.
    ///
    /// If the channel is full, a task sends the event, so later events may overtake it. Use this only for events that
    /// may be late: upload credit is a sum, and a close that is late only lets later messages of its own sender
    /// through. The messages before a close are in the channel already, because sending them waits for space.
    ///
    /// # Panics
    ///
    /// Panics if the channel is full and this is called outside of a tokio runtime.
    pub(in crate::mongrel2) fn send_event(&self, event: FrontEndEvent) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.0.try_send(event) {
            let events = self.0.clone();
            tokio::spawn(async move { events.send(event).await });
        }
    }
}

/// All sockets of one Mongrel2 form a group: a message to Mongrel2 can address many clients.
impl BroadcastGroup for FrontEndHandle {
    fn reserve(self: Arc<Self>) -> BoxFuture<'static, Option<GroupPermit>> {
        let events = self.0.clone();
        Box::pin(async move {
            let permit = events.reserve_owned().await.ok()?;
            let send: GroupPermit = Box::new(|message| drop(permit.send(FrontEndEvent::Broadcast(message))));
            Some(send)
        })
    }

    fn cut_off(&self, client: &ClientId) {
        let client = client.clone();
        self.send_event(FrontEndEvent::CutOff { client });
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}
