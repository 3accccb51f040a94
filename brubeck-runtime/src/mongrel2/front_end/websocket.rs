//! WebSockets of Mongrel2, and the events that their handlers send to the loop.

use super::pipeline::{OutboundChunk, ResponseEnd};
use crate::websocket::{
    BroadcastEncoding, BroadcastGroup, ClientId as Ticket, Close, Closed, Deflate, FrameAction,
    InboundMessage, QueuedMessage, SocketMessage, SocketPeer, SocketTransport, WebSocket, message_frame,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// How many messages, and bytes of them, a handler may leave waiting: Mongrel2 cannot be told to read a client slower.
const MESSAGES: usize = 1024;
const BYTES: usize = 4 << 20;
/// How many bytes a handler may have waiting for its client before it has to wait itself.
pub(in crate::mongrel2) const WINDOW: usize = 256 << 10;
/// Frames that come before the handler took the WebSocket.
const EARLY: usize = 64;
/// How long a client may take to agree to a close.
const AGREE: Duration = Duration::from_secs(5);
/// How many pings may go unanswered.
const UNANSWERED: u8 = 2;

/// One WebSocket, as the loop keeps it.
#[derive(Debug)]
pub(in crate::mongrel2) struct WebSocketState {
    pub(in crate::mongrel2) ticket: Ticket,
    peer: SocketPeer,
    messages: Option<mpsc::Sender<QueuedMessage>>,
    room: Arc<Semaphore>,
    window: Arc<Semaphore>,
    ended: Arc<OnceLock<Close>>,
    /// Never has a place, and is closed with the connection.
    gone: Arc<Semaphore>,
    /// What came before it was opened; `None` once it is.
    early: Option<Vec<(u8, Bytes)>>,
    closing: Option<Instant>,
    silent: u8,
}

/// What follows for the connection.
#[derive(Debug, Default)]
pub(in crate::mongrel2) struct FrameOutcome {
    /// The client is sent these.
    pub(in crate::mongrel2) answers: Vec<Bytes>,
    /// The connection is closed.
    pub(in crate::mongrel2) close: bool,
}

/// What shall be done about a client that was quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum PingAction {
    /// Nothing: it is not open, or not for much longer.
    Rest,
    /// It is asked whether it is there.
    Ping,
    /// It is not.
    Dead,
}

impl WebSocketState {
    /// A client asks for it. The other end is for the handler.
    pub(in crate::mongrel2) fn new(
        ticket: Ticket,
        limit: usize,
        deflate: Option<Deflate>,
        link: &Arc<FrontEndHandle>,
    ) -> (WebSocketState, WebSocket) {
        let (messages, inbound) = mpsc::channel(MESSAGES);
        let ended = Arc::new(OnceLock::new());
        let window = Arc::new(Semaphore::new(WINDOW));
        let gone = Arc::new(Semaphore::new(0));
        let way = WebSocketCarrier {
            ticket: ticket.clone(),
            window: window.clone(),
            deflate,
            gone: gone.clone(),
            link: link.clone(),
        };
        let socket = WebSocketState {
            ticket,
            peer: SocketPeer::new(limit, deflate),
            messages: Some(messages),
            room: Arc::new(Semaphore::new(BYTES.max(limit).min(Semaphore::MAX_PERMITS))),
            window,
            ended: ended.clone(),
            gone,
            early: Some(Vec::new()),
            closing: None,
            silent: 0,
        };
        (socket, WebSocket::new(inbound, ended, Arc::new(way)))
    }

    /// The handler took it: what came already is heard now.
    pub(in crate::mongrel2) fn open(&mut self) -> FrameOutcome {
        let mut reaction = FrameOutcome::default();
        for (first, payload) in self.early.take().unwrap_or_default() {
            self.react(first, payload, &mut reaction);
        }
        reaction
    }

    /// A frame came.
    pub(in crate::mongrel2) fn hear(&mut self, first: u8, payload: Bytes) -> FrameOutcome {
        self.silent = 0;
        let mut reaction = FrameOutcome::default();
        match &mut self.early {
            Some(early) if early.len() < EARLY => early.push((first, payload)),
            Some(_) => self.end(Close::POLICY, None, &mut reaction),
            None => self.react(first, payload, &mut reaction),
        }
        reaction
    }

    fn react(&mut self, first: u8, payload: Bytes, reaction: &mut FrameOutcome) {
        match self.peer.receive(first, payload) {
            FrameAction::Ignore => {}
            FrameAction::Reply(answer) => reaction.answers.push(answer),
            FrameAction::Close { close, .. } if self.closing.is_some() => {
                self.gone(close);
                reaction.close = true;
            }
            FrameAction::Close { last, close } => self.end(close, Some(last), reaction),
            FrameAction::Deliver(message) => {
                if self.deliver(message).is_err() {
                    self.end(Close::POLICY, None, reaction);
                }
            }
        }
    }

    fn deliver(&mut self, message: InboundMessage) -> Result<(), ()> {
        let Some(messages) = self.messages.as_ref().filter(|_| self.closing.is_none()) else {
            return Ok(());
        };
        let size = u32::try_from(message.size()).map_err(drop)?;
        let room = self.room.clone().try_acquire_many_owned(size).map_err(drop)?;
        match messages.try_send(QueuedMessage::new(message, Some(room))) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(()),
            // A handler that listens no more may still be talking.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    fn end(&mut self, close: Close, last: Option<Bytes>, reaction: &mut FrameOutcome) {
        let last = last.unwrap_or_else(|| crate::websocket::close_frame(&close));
        self.gone(close);
        reaction.answers.push(last);
        reaction.close = true;
    }

    /// The handler, or the server that stops, closes it. The client is to agree.
    pub(in crate::mongrel2) fn shut(&mut self, close: &Close, now: Instant) -> Option<Bytes> {
        if self.closing.is_some() || self.messages.is_none() {
            return None;
        }
        self.closing = Some(now);
        self.window.close();
        let _ = self.ended.set(close.clone());
        self.messages = None;
        Some(crate::websocket::close_frame(close))
    }

    /// The connection is gone; the handler sees its end.
    pub(in crate::mongrel2) fn gone(&mut self, close: Close) {
        // The first reason is the true one.
        let _ = self.ended.set(close);
        // Before its messages end: a handler that hears of the end can send no more.
        self.window.close();
        self.messages = None;
    }

    /// Some time has passed.
    pub(in crate::mongrel2) fn pulse(&mut self) -> PingAction {
        if self.early.is_some() || self.closing.is_some() {
            return PingAction::Rest;
        }
        self.silent = self.silent.saturating_add(1);
        if self.silent > UNANSWERED + 1 {
            PingAction::Dead
        } else {
            PingAction::Ping
        }
    }

    /// Whether its client did not agree to a close in time.
    pub(in crate::mongrel2) fn is_overdue(&self, now: Instant) -> bool {
        self.closing
            .is_some_and(|since| now.saturating_duration_since(since) > AGREE)
    }
}

impl Drop for WebSocketState {
    fn drop(&mut self) {
        self.gone.close();
    }
}

/// The way to one link: what all its WebSockets share.
#[derive(Debug)]
pub(in crate::mongrel2) struct FrontEndHandle(pub(in crate::mongrel2) mpsc::Sender<FrontEndEvent>);

/// The way to one client.
struct WebSocketCarrier {
    ticket: Ticket,
    window: Arc<Semaphore>,
    deflate: Option<Deflate>,
    gone: Arc<Semaphore>,
    link: Arc<FrontEndHandle>,
}

impl SocketTransport for WebSocketCarrier {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            let bytes = message_frame(&message, self.deflate);
            let room = bytes.len().min(WINDOW) as u32;
            let place = self
                .window
                .clone()
                .acquire_many_owned(room)
                .await
                .map_err(|_| Closed)?;
            let event = FrontEndEvent::Reply {
                ticket: self.ticket.clone(),
                pieces: vec![OutboundChunk::placed(bytes, place)],
                end: None,
            };
            self.link.0.send(event).await.map_err(|_| Closed)
        })
    }

    fn send_or_disconnect(&self, frame: Bytes) {
        self.link.tell(FrontEndEvent::BroadcastOutcome {
            to: vec![self.ticket.clone()],
            bytes: frame,
        });
    }

    fn encoding(&self) -> BroadcastEncoding {
        BroadcastEncoding::negotiated(self.deflate)
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

impl FrontEndHandle {
    /// Tells the loop without waiting; a link that has ended needs no telling.
    pub(in crate::mongrel2) fn tell(&self, event: FrontEndEvent) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.0.try_send(event) {
            let link = self.0.clone();
            tokio::spawn(async move { link.send(event).await });
        }
    }
}

impl BroadcastGroup for FrontEndHandle {
    fn send_to(&self, to: Vec<Ticket>, bytes: Bytes) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Nobody is left to be told when the link has ended.
            let _ = self.0.send(FrontEndEvent::BroadcastOutcome { to, bytes }).await;
        })
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

#[derive(Debug)]
pub(in crate::mongrel2) enum FrontEndEvent {
    /// Some of the reply to a request, or all of it with its end.
    Reply {
        ticket: Ticket,
        pieces: Vec<OutboundChunk>,
        end: Option<ResponseEnd>,
    },
    /// A handler takes a WebSocket: the head of the response that opens it.
    Open { ticket: Ticket, head: Bytes },
    /// A handler closes its WebSocket, or a message socket.
    Shut { ticket: Ticket, close: Close },
    /// Something for the client of a message socket that answers nothing.
    Push { ticket: Ticket, piece: OutboundChunk },
    /// The same bytes for many.
    BroadcastOutcome { to: Vec<Ticket>, bytes: Bytes },
    /// A handler can take so many more bytes of an upload.
    Allow { ticket: Ticket, bytes: u32 },
}
