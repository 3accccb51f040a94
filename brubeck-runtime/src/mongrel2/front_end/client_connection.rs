//! The state of one connection of a client to Mongrel2.

use super::flow_control::{FlowControl, SendWindow};
use super::message_socket::MessageSocketClient;
use super::pipeline::{OutboundChunk, Pipeline, ReadyChunks};
use super::websocket::WebSocketState;
use crate::mongrel2::uploads::IncomingUpload;
use crate::websocket::{ClientId, ReadProgress, WaitingMessages};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Limit of bytes in a message that is merged from several chunks. A larger single chunk is sent as one message.
const MAX_MERGED_BYTES: usize = 256 << 10;

/// One connection of a client to Mongrel2. `T` is the task of a request.
#[derive(Debug)]
pub(super) struct ClientConnection<T> {
    /// The `send_ident` of the Mongrel2 handler, which begins each message to this connection.
    pub(super) ident: Bytes,
    /// Distinguishes this connection from an earlier one with the same id.
    pub(super) serial: u64,
    pub(super) pipeline: Pipeline<T>,
    pub(super) websocket: Option<WebSocketState>,
    /// The upload in progress, with the number of its request.
    pub(super) upload: Option<(u64, IncomingUpload)>,
    /// Set if the client has sent a message instead of an HTTP request.
    pub(super) message_socket: Option<MessageSocketClient>,
    /// The data that waits for the flow control.
    pub(super) queue: VecDeque<QueuedData>,
    /// `true` if a part of the first chunk was sent.
    has_started_chunk: bool,
    /// Set while the client is known not to read.
    pub(super) reading: Arc<ReadProgress>,
    /// `true` if the connection is closed once the queue is empty.
    pub(super) is_closing: bool,
    pub(super) flow_control: FlowControl,
    pub(super) last_request_at: Instant,
    /// `true` if the connection is in the ready list of the connection table.
    pub(super) is_listed: bool,
}

/// Data that waits for the flow control.
#[derive(Debug)]
pub(super) enum QueuedData {
    Chunk(OutboundChunk),
    Broadcast(WaitingMessages),
}

/// The next message for a client.
pub(super) enum NextMessage {
    /// Nothing is queued.
    None,
    /// The flow control allows no message before this time, or before Mongrel2 reports progress if there is no time.
    Blocked(Option<Instant>),
    /// A message that may be sent now. It is empty if the connection is to be closed and nothing is queued.
    Ready(Bytes),
}

impl<T> ClientConnection<T> {
    pub(super) fn new(
        ident: Bytes,
        serial: u64,
        flow_control: FlowControl,
        now: Instant,
    ) -> ClientConnection<T> {
        ClientConnection {
            ident,
            serial,
            pipeline: Pipeline::new(),
            websocket: None,
            upload: None,
            message_socket: None,
            queue: VecDeque::new(),
            has_started_chunk: false,
            reading: Arc::default(),
            is_closing: false,
            flow_control,
            last_request_at: now,
            is_listed: false,
        }
    }

    /// Adds a request to the pipeline. Returns the id under which its response is added.
    pub(super) fn begin_request(&mut self, connection_id: &Bytes) -> ClientId {
        if self.pipeline.is_idle() && self.queue.is_empty() {
            self.flow_control.request_received();
        }
        ClientId {
            connection: connection_id.clone(),
            serial: self.serial,
            number: self.pipeline.begin_request(),
        }
    }

    /// Sets the task of a request, which is aborted if the connection is closed.
    pub(super) fn set_task(&mut self, client: &ClientId, task: T) {
        self.pipeline.set_task(client.number, task);
    }

    /// Returns `true` if there is no WebSocket, no response is pending, nothing is queued, and the connection is not being
    /// closed.
    pub(super) fn is_idle(&self) -> bool {
        self.websocket.is_none() && self.pipeline.is_idle() && self.queue.is_empty() && !self.is_closing
    }

    /// Returns `true` if this is a message socket, and a handler or the application holds a sender of it.
    pub(super) fn has_message_senders(&self) -> bool {
        self.message_socket
            .as_ref()
            .is_some_and(MessageSocketClient::has_senders)
    }

    /// Returns the tasks of the unfinished requests.
    pub(super) fn into_tasks(mut self) -> impl Iterator<Item = T> + use<T> {
        self.pipeline.close()
    }

    /// Returns the id of the client of a message socket, or of the WebSocket.
    pub(super) fn socket_client(&self) -> Option<ClientId> {
        let websocket = self.websocket.as_ref().map(|websocket| &websocket.client);
        let message_socket = || self.message_socket.as_ref().map(MessageSocketClient::id);
        websocket.or_else(message_socket).cloned()
    }

    /// Returns `true` if a close frame was sent, or the connection is closed after the queued data.
    pub(super) fn has_ended(&self) -> bool {
        let has_sent_close = |websocket: &WebSocketState| websocket.has_sent_close();
        self.is_closing || self.websocket.as_ref().is_some_and(has_sent_close)
    }

    /// Returns `true` if messages of a broadcast wait.
    pub(super) fn has_broadcasts(&self) -> bool {
        let is_broadcast = |data: &QueuedData| matches!(data, QueuedData::Broadcast(_));
        self.queue.iter().any(is_broadcast)
    }

    /// Returns `true` if more data waits than one chunk or one message of a broadcast.
    fn has_backlog(&self) -> bool {
        let is_run =
            |data: &QueuedData| matches!(data, QueuedData::Broadcast(waiting) if waiting.has_several());
        self.queue.len() > 1 || self.queue.front().is_some_and(is_run)
    }

    /// Drops the data that waits. Returns `true` if a part of a frame was sent.
    pub(super) fn drop_queue(&mut self) -> bool {
        self.queue.clear();
        self.has_started_chunk
    }

    /// Queues chunks. If the connection is closed after them, returns the tasks of requests that cannot be answered
    /// any more.
    pub(super) fn enqueue(&mut self, ready: ReadyChunks) -> Vec<T> {
        if self.is_closing {
            return Vec::new();
        }
        for chunk in ready.chunks {
            // Mongrel2 takes an empty message for a close.
            if !chunk.bytes.is_empty() {
                self.queue.push_back(QueuedData::Chunk(chunk));
            }
        }
        self.is_closing = ready.close;
        if ready.close {
            self.pipeline.close().collect()
        } else {
            Vec::new()
        }
    }

    /// Takes chunks from the queue and merges them into one message, up to the limit of the flow control and
    /// [`MAX_MERGED_BYTES`].
    pub(super) fn next_message(&mut self, now: Instant) -> NextMessage {
        if self.queue.is_empty() && !self.is_closing {
            return NextMessage::None;
        }
        let max_bytes = match self.flow_control.send_window(now) {
            SendWindow::Open(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
            // A close has no bytes, so it needs no credit.
            SendWindow::Closed(_) if self.queue.is_empty() && self.flow_control.uses_credit() => 0,
            SendWindow::Closed(until) => {
                if self.flow_control.uses_credit() {
                    self.reading.block();
                }
                let until = if self.has_backlog() {
                    self.flow_control.slow_down()
                } else {
                    until
                };
                if let Some(until) = until {
                    self.reading.expect_at(until.into());
                }
                return NextMessage::Blocked(until);
            }
        };
        let message = self.merge_chunks(max_bytes);
        self.flow_control.message_sent(message.len() as u64, now);
        NextMessage::Ready(message)
    }

    /// Takes chunks from the queue, at most `max_bytes` in total, and splits the last one if necessary. If more than one is taken, the
    /// total is at most [`MAX_MERGED_BYTES`].
    fn merge_chunks(&mut self, max_bytes: usize) -> Bytes {
        // Most messages have a single chunk. It stays in `first` and is not copied; `merged` is used from the second
        // one on.
        let mut first = Bytes::new();
        let mut merged = BytesMut::new();
        while let Some(next) = self.queue.front_mut() {
            let taken = first.len() + merged.len();
            let available = max_bytes.saturating_sub(taken);
            let size = match next {
                QueuedData::Chunk(chunk) => chunk.bytes.len(),
                QueuedData::Broadcast(waiting) => waiting.next_size().unwrap_or(0),
            };
            if available == 0 || (taken > 0 && taken + size > MAX_MERGED_BYTES) {
                break;
            }
            let bytes = match next {
                QueuedData::Chunk(chunk) => {
                    let bytes = chunk.bytes.split_to(size.min(available));
                    self.has_started_chunk = !chunk.bytes.is_empty();
                    if !self.has_started_chunk {
                        self.queue.pop_front();
                    }
                    bytes
                }
                QueuedData::Broadcast(waiting) => {
                    let mut bytes = waiting.take().unwrap_or_default();
                    if waiting.next_size().is_none() {
                        self.queue.pop_front();
                    }
                    let rest = bytes.split_off(size.min(available));
                    self.has_started_chunk = !rest.is_empty();
                    if self.has_started_chunk {
                        self.queue.push_front(QueuedData::Chunk(rest.into()));
                    }
                    bytes
                }
            };
            if taken == 0 {
                first = bytes;
            } else {
                if merged.is_empty() {
                    merged.extend_from_slice(&first);
                    first.clear();
                }
                merged.extend_from_slice(&bytes);
            }
        }
        if merged.is_empty() { first } else { merged.freeze() }
    }
}
