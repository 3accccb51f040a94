//! One connection of a browser: what it waits for and what waits for it.

use super::flow_control::{FlowControl, SendWindow};
use super::message_socket::MessageSocketClient;
use super::pipeline::{OutboundChunk, Pipeline, ReadyChunks};
use super::websocket::WebSocketState;
use crate::mongrel2::uploads::IncomingUpload;
use crate::websocket::ClientId as Ticket;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::Instant;

/// Small pieces are joined up to this size.
const JOINED: usize = 256 << 10;

/// One connection of a browser to Mongrel2.
#[derive(Debug)]
pub(super) struct ClientConnection<T> {
    /// The Mongrel2 it is a connection to.
    pub(super) ident: Bytes,
    pub(super) serial: u64,
    pub(super) pipeline: Pipeline<T>,
    pub(super) socket: Option<WebSocketState>,
    pub(super) upload: Option<IncomingUpload>,
    /// The client of a message socket.
    pub(super) listener: Option<MessageSocketClient>,
    pub(super) waiting: VecDeque<OutboundChunk>,
    pub(super) waiting_bytes: usize,
    /// Whether it is closed after what is waiting.
    pub(super) closing: bool,
    pub(super) flow_control: FlowControl,
    pub(super) heard: Instant,
    /// Whether it stands in the list of those that can be sent something.
    pub(super) listed: bool,
}

/// What can be sent to a client now.
pub(super) enum NextMessage {
    None,
    Blocked(Option<Instant>),
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
            socket: None,
            upload: None,
            listener: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            closing: false,
            flow_control,
            heard: now,
            listed: false,
        }
    }

    /// A request came.
    pub(super) fn begin(&mut self, connection: &Bytes) -> Ticket {
        if self.pipeline.is_idle() && self.waiting.is_empty() {
            self.flow_control.asked_again();
        }
        Ticket {
            connection: connection.clone(),
            serial: self.serial,
            number: self.pipeline.begin(),
        }
    }

    /// This runs on behalf of a request; it is given back when the connection is gone.
    pub(super) fn runs(&mut self, ticket: &Ticket, task: T) {
        self.pipeline.runs(ticket.number, task);
    }

    /// What ran on behalf of a request goes on when the connection is gone.
    pub(super) fn outlives(&mut self, ticket: &Ticket) {
        self.pipeline.outlives(ticket.number);
    }

    /// Whether the connection is closed before this request could be answered.
    pub(super) fn ends_before(&self, ticket: &Ticket) -> bool {
        self.pipeline.ends_before(ticket.number)
    }

    pub(super) fn running(&self) -> usize {
        self.pipeline.running()
    }

    pub(super) fn touch(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Whether somebody works for it or it is sent something.
    pub(super) fn is_idle(&self) -> bool {
        self.socket.is_none() && self.pipeline.is_idle() && self.waiting.is_empty() && !self.closing
    }

    /// Whether somebody may send it something of his own accord.
    pub(super) fn is_kept(&self) -> bool {
        self.listener.as_ref().is_some_and(MessageSocketClient::is_kept)
    }

    /// Ends it: what ran on its behalf comes back.
    pub(super) fn end(mut self) -> impl Iterator<Item = T> + use<T> {
        self.pipeline.stop()
    }

    pub(super) fn put(&mut self, due: ReadyChunks) -> Vec<T> {
        if self.closing {
            return Vec::new();
        }
        for piece in due.pieces {
            // An empty message would close the connection.
            if !piece.bytes.is_empty() {
                self.waiting_bytes += piece.bytes.len();
                self.waiting.push_back(piece);
            }
        }
        self.closing = due.close;
        match due.close {
            true => self.pipeline.stop().collect(),
            false => Vec::new(),
        }
    }

    /// Joins what may go now into one message.
    pub(super) fn take(&mut self, now: Instant) -> NextMessage {
        if self.waiting.is_empty() && !self.closing {
            return NextMessage::None;
        }
        let room = match self.flow_control.room(now) {
            SendWindow::For(room) => usize::try_from(room).unwrap_or(usize::MAX),
            // A close has no bytes, and with credit only bytes count.
            SendWindow::After(_) if self.waiting.is_empty() && self.flow_control.counts_bytes() => 0,
            SendWindow::After(until) => return NextMessage::Blocked(until),
        };
        let mut joined = BytesMut::new();
        let mut first = Bytes::new();
        while let Some(piece) = self.waiting.front_mut() {
            let have = first.len() + joined.len();
            let left = room.saturating_sub(have);
            if left == 0 || (have > 0 && have + piece.bytes.len() > JOINED) {
                break;
            }
            let bytes = piece.bytes.split_to(piece.bytes.len().min(left));
            let whole = piece.bytes.is_empty();
            self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes.len());
            // One piece alone, as most replies are, is not copied.
            match (first.is_empty(), joined.is_empty()) {
                (true, true) => first = bytes,
                (false, true) => {
                    joined.extend_from_slice(&first);
                    joined.extend_from_slice(&bytes);
                    first.clear();
                }
                _ => joined.extend_from_slice(&bytes),
            }
            if whole {
                self.waiting.pop_front();
            }
        }
        let message = if joined.is_empty() { first } else { joined.freeze() };
        self.flow_control.sent(message.len() as u64, now);
        NextMessage::Ready(message)
    }
}
