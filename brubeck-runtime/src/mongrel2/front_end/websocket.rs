//! The state of a WebSocket, and its sending side for handlers.

use super::events::{FrontEndEvent, FrontEndHandle};
use super::pipeline::OutboundChunk;
use super::socket_client_sender::{SEND_WINDOW_BYTES, SocketClientSender};
use crate::websocket::{
    BroadcastEncoding, BroadcastRoute, ClientId, Close, Closed, Deflate, FrameAction, InboundMessage,
    QueuedMessage, ReadProgress, SocketMessage, SocketPeer, SocketTransport, TOO_MANY_MESSAGES, TOO_SLOW,
    WebSocket, close_frame, inbound_budget, message_frame, next_socket_id,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// Limit of frames that arrive before the application accepts the WebSocket and are kept until then. A client that sends more
/// is disconnected.
const MAX_EARLY_FRAMES: usize = 64;

/// Time for a client to acknowledge a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pings in a row that a client may leave without any frame in response. It is disconnected when the next one is due.
const MAX_UNANSWERED_PINGS: u8 = 3;

/// The state of a WebSocket in the event loop.
#[derive(Debug)]
pub(in crate::mongrel2) struct WebSocketState {
    pub(in crate::mongrel2) client: ClientId,
    peer: SocketPeer,
    /// Messages for the handler. `None` once the WebSocket is closing.
    messages: Option<mpsc::UnboundedSender<QueuedMessage>>,
    /// Limits the bytes of `messages`. Mongrel2 reads as fast as a client sends, and has no command to stop. So a WebSocket that exceeds the
    /// limit is closed.
    queue_permits: Arc<Semaphore>,
    /// Limits the bytes that are queued for the client. Closed with the WebSocket.
    send_permits: Arc<Semaphore>,
    close_reason: Arc<OnceLock<Close>>,
    /// Has no permits. It is closed when the connection is, which wakes the tasks that wait for a permit.
    disconnected: Arc<Semaphore>,
    /// Frames that arrived before the application accepted the WebSocket. `None` once it has.
    early_frames: Option<Vec<(u8, Bytes)>>,
    /// The time at which the close frame was queued, or at which the client failed.
    closing_since: Option<Instant>,
    /// The failure of the client. Its frames are ignored, and the handler can still respond to the messages before. The close frame follows
    /// when the handler has ended.
    failure: Option<Close>,
    /// `true` if the WebSocket is closing because the client does not read.
    is_cut_off: bool,
    keep_alives_without_frame: u8,
}

/// The result of a received frame.
#[derive(Debug, Default)]
pub(in crate::mongrel2) struct FrameOutcome {
    /// Frames to send to the client.
    pub(in crate::mongrel2) frames: Vec<Bytes>,
    /// `true` if the connection must be closed.
    pub(in crate::mongrel2) close: bool,
}

/// The action for a WebSocket when the keep-alive timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum PingAction {
    /// No action: the WebSocket is opening or closing.
    None,
    /// Send a ping.
    Ping,
    /// Close the connection: the client has sent no frame in response to [`MAX_UNANSWERED_PINGS`] pings.
    Disconnect,
}

impl WebSocketState {
    /// Creates the state of a WebSocket that the application has not accepted yet, and the [`WebSocket`] for its
    /// handler.
    pub(in crate::mongrel2) fn new(
        client: ClientId,
        message_limit: usize,
        deflate: Option<Deflate>,
        reading: Arc<ReadProgress>,
        front_end: &Arc<FrontEndHandle>,
    ) -> (WebSocketState, WebSocket) {
        let (messages, inbound) = mpsc::unbounded_channel();
        let close_reason = Arc::new(OnceLock::new());
        let send_permits = Arc::new(Semaphore::new(SEND_WINDOW_BYTES));
        let disconnected = Arc::new(Semaphore::new(0));
        let transport = WebSocketTransport {
            sender: SocketClientSender {
                id: next_socket_id(),
                client: client.clone(),
                send_permits: send_permits.clone(),
                disconnected: disconnected.clone(),
                reading,
                front_end: front_end.clone(),
            },
            deflate,
        };
        let state = WebSocketState {
            client,
            peer: SocketPeer::new(message_limit, deflate),
            messages: Some(messages),
            queue_permits: Arc::new(Semaphore::new(inbound_budget(message_limit))),
            send_permits,
            close_reason: close_reason.clone(),
            disconnected,
            early_frames: Some(Vec::new()),
            closing_since: None,
            failure: None,
            is_cut_off: false,
            keep_alives_without_frame: 0,
        };
        (state, WebSocket::new(inbound, close_reason, Arc::new(transport)))
    }

    /// Sets the limit of the route for messages, if it has one, and handles the frames that arrived before the application accepted the
    /// WebSocket.
    pub(in crate::mongrel2) fn accept(&mut self, message_limit: Option<usize>) -> FrameOutcome {
        if let Some(limit) = message_limit {
            self.peer.set_limit(limit);
            self.queue_permits = Arc::new(Semaphore::new(inbound_budget(limit)));
        }
        let mut outcome = FrameOutcome::default();
        for (first_byte, payload) in self.early_frames.take().unwrap_or_default() {
            self.handle_frame(first_byte, payload, &mut outcome);
        }
        outcome
    }

    /// Handles a frame of the client, or keeps it until the application accepts the WebSocket.
    pub(in crate::mongrel2) fn receive(&mut self, first_byte: u8, payload: Bytes) -> FrameOutcome {
        self.keep_alives_without_frame = 0;
        let mut outcome = FrameOutcome::default();
        match &mut self.early_frames {
            Some(early) if early.len() < MAX_EARLY_FRAMES => early.push((first_byte, payload)),
            Some(_) => self.fail(TOO_MANY_MESSAGES, None, &mut outcome),
            None => self.handle_frame(first_byte, payload, &mut outcome),
        }
        outcome
    }

    fn handle_frame(&mut self, first_byte: u8, payload: Bytes, outcome: &mut FrameOutcome) {
        match self.peer.receive(first_byte, payload) {
            FrameAction::Ignore => {}
            FrameAction::Reply(frame) => outcome.frames.push(frame),
            // The close frame was sent already, and no frame may follow it. The client acknowledged it, or its frame was
            // invalid; in both cases only the connection is left to close.
            FrameAction::Close { close, .. } | FrameAction::Fail(close) if self.closing_since.is_some() => {
                self.disconnect(close);
                outcome.close = true;
            }
            FrameAction::Close { last, close } => self.fail(close, Some(last), outcome),
            FrameAction::Fail(close) => {
                let _ = self.close_reason.set(close.clone());
                self.messages = None;
                self.closing_since = Some(Instant::now());
                self.failure = Some(close);
            }
            FrameAction::Deliver(message) => {
                if self.deliver(message).is_err() {
                    // Closing the connection at once would reset it while the client sends, and it would not get the reason.
                    outcome
                        .frames
                        .extend(self.start_closing(&TOO_MANY_MESSAGES, Instant::now()));
                }
            }
        }
    }

    /// Queues a message for the handler. Drops it if the WebSocket is closing, or the handler does not receive any
    /// more.
    ///
    /// # Errors
    /// Returns an error if the queue is full.
    fn deliver(&mut self, message: InboundMessage) -> Result<(), ()> {
        let Some(messages) = self.messages.as_ref().filter(|_| self.closing_since.is_none()) else {
            return Ok(());
        };
        let permit = self
            .queue_permits
            .clone()
            .try_acquire_many_owned(message.cost())
            .map_err(drop)?;
        // A handler that dropped its receiving half may still send.
        let _ = messages.send(QueuedMessage::new(message, permit));
        Ok(())
    }

    /// Ends the WebSocket for the handler. Adds `last_frame` to the outcome, or a close frame if it is `None`, and makes the
    /// caller close the connection.
    fn fail(&mut self, close: Close, last_frame: Option<Bytes>, outcome: &mut FrameOutcome) {
        let last_frame = last_frame.unwrap_or_else(|| close_frame(&close));
        self.disconnect(close);
        outcome.frames.push(last_frame);
        outcome.close = true;
    }

    /// Begins the closing handshake, or ends the connection if the client has failed before. Does nothing if the WebSocket is closing
    /// already, or was not accepted yet: no frame may be sent before the 101 response.
    pub(in crate::mongrel2) fn begin_close(&mut self, close: &Close, now: Instant) -> FrameOutcome {
        if let Some(outcome) = self.end_failed() {
            return outcome;
        }
        let frame = self.start_closing(close, now);
        FrameOutcome {
            frames: frame.into_iter().collect(),
            close: false,
        }
    }

    /// Begins to close the WebSocket of a client that does not read. Returns the close frame, or `None` if the WebSocket is closing already.
    pub(in crate::mongrel2) fn cut_off(&mut self, now: Instant) -> Option<Bytes> {
        self.is_cut_off = true;
        self.start_closing(&TOO_SLOW, now)
    }

    pub(in crate::mongrel2) fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// Returns `true` if a close frame was sent, so that no frame may follow.
    pub(in crate::mongrel2) fn has_sent_close(&self) -> bool {
        self.closing_since.is_some() && self.failure.is_none()
    }

    /// Ends the connection if the client has failed.
    pub(in crate::mongrel2) fn end_failed(&mut self) -> Option<FrameOutcome> {
        let failure = self.failure.take()?;
        let mut outcome = FrameOutcome::default();
        self.fail(failure, None, &mut outcome);
        Some(outcome)
    }

    fn start_closing(&mut self, close: &Close, now: Instant) -> Option<Bytes> {
        if self.early_frames.is_some() || self.closing_since.is_some() || self.messages.is_none() {
            return None;
        }
        self.closing_since = Some(now);
        self.send_permits.close();
        let _ = self.close_reason.set(close.clone());
        self.messages = None;
        Some(close_frame(close))
    }

    /// Ends the WebSocket for the handler, because the connection is closed or about to be.
    pub(in crate::mongrel2) fn disconnect(&mut self, close: Close) {
        // Keep the first reason. The later ones are its consequences.
        let _ = self.close_reason.set(close);
        // Close the sending side first: once the handler receives the end of the messages, sending must fail.
        self.send_permits.close();
        self.messages = None;
    }

    /// Returns the action for this WebSocket when the keep-alive timer fires.
    pub(in crate::mongrel2) fn on_keep_alive(&mut self) -> PingAction {
        if self.early_frames.is_some() || self.closing_since.is_some() {
            return PingAction::None;
        }
        self.keep_alives_without_frame = self.keep_alives_without_frame.saturating_add(1);
        if self.keep_alives_without_frame > MAX_UNANSWERED_PINGS {
            PingAction::Disconnect
        } else {
            PingAction::Ping
        }
    }

    /// Returns `true` if the client did not acknowledge the close frame in time.
    pub(in crate::mongrel2) fn close_timed_out(&self, now: Instant) -> bool {
        self.closing_since
            .is_some_and(|since| now.saturating_duration_since(since) > CLOSE_TIMEOUT)
    }
}

impl Drop for WebSocketState {
    fn drop(&mut self) {
        // Has no effect if the WebSocket was ended with another reason before.
        self.disconnect(Close::BROKEN);
        self.disconnected.close();
    }
}

/// The sending side of a WebSocket.
struct WebSocketTransport {
    sender: SocketClientSender,
    deflate: Option<Deflate>,
}

impl SocketTransport for WebSocketTransport {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            let bytes = message_frame(&message, self.deflate);
            let permit = self.sender.reserve(bytes.len()).await?;
            let event = FrontEndEvent::Response {
                client: self.sender.client.clone(),
                chunks: vec![OutboundChunk::with_permit(bytes, permit)],
                end: None,
            };
            self.sender.send(event).await
        })
    }

    fn close(&self, close: Close) {
        self.sender.close(close);
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.sender.closed())
    }

    fn broadcast_route(&self) -> BroadcastRoute {
        self.sender
            .broadcast_route(BroadcastEncoding::negotiated(self.deflate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn dropping_the_state_ends_the_websocket_of_the_handler() {
        let (events, _receiver) = mpsc::channel(1);
        let client = ClientId {
            connection: "7".into(),
            serial: 1,
            number: 0,
        };
        let front_end = Arc::new(FrontEndHandle(events));
        let (state, mut websocket) = WebSocketState::new(client, 100, None, Arc::default(), &front_end);
        drop(state);
        assert_eq!(websocket.recv().now_or_never(), Some(None));
        assert_eq!(websocket.ended(), Some(&Close::BROKEN));
        assert!(websocket.send("late").now_or_never().unwrap().is_err());
    }
}
