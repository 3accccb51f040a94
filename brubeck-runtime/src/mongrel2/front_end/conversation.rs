//! One connection of a browser: what it waits for and what waits for it.

use super::flow_control::{Pace, Room};
use super::listener::Listener;
use super::pipeline::{Due, Piece, Pipeline};
use super::socket::Socket;
use crate::mongrel2::uploads::Upload;
use crate::websocket::Seat as Ticket;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::Instant;

/// Small pieces are joined up to this size.
const JOINED: usize = 256 << 10;

/// One connection of a browser to Mongrel2.
#[derive(Debug)]
pub(super) struct Conversation<T> {
    /// The Mongrel2 it is a connection to.
    pub(super) ident: Bytes,
    pub(super) serial: u64,
    pub(super) pipeline: Pipeline<T>,
    pub(super) socket: Option<Socket>,
    pub(super) upload: Option<Upload>,
    /// The client of a message socket.
    pub(super) listener: Option<Listener>,
    pub(super) waiting: VecDeque<Piece>,
    pub(super) waiting_bytes: usize,
    /// Whether it is closed after what is waiting.
    pub(super) closing: bool,
    pub(super) pace: Pace,
    pub(super) heard: Instant,
    /// Whether it stands in the list of those that can be sent something.
    pub(super) listed: bool,
}

/// What can be sent to a client now.
pub(super) enum Take {
    Nothing,
    Blocked(Option<Instant>),
    Message(Bytes),
}

impl<T> Conversation<T> {
    pub(super) fn new(ident: Bytes, serial: u64, pace: Pace, now: Instant) -> Conversation<T> {
        Conversation {
            ident,
            serial,
            pipeline: Pipeline::new(),
            socket: None,
            upload: None,
            listener: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            closing: false,
            pace,
            heard: now,
            listed: false,
        }
    }

    /// A request came.
    pub(super) fn begin(&mut self, connection: &Bytes) -> Ticket {
        if self.pipeline.is_idle() && self.waiting.is_empty() {
            self.pace.asked_again();
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
        self.listener.as_ref().is_some_and(Listener::is_kept)
    }

    /// Ends it: what ran on its behalf comes back.
    pub(super) fn end(mut self) -> impl Iterator<Item = T> + use<T> {
        self.pipeline.stop()
    }

    pub(super) fn put(&mut self, due: Due) -> Vec<T> {
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
    pub(super) fn take(&mut self, now: Instant) -> Take {
        if self.waiting.is_empty() && !self.closing {
            return Take::Nothing;
        }
        let room = match self.pace.room(now) {
            Room::For(room) => usize::try_from(room).unwrap_or(usize::MAX),
            // A close has no bytes, and with credit only bytes count.
            Room::After(_) if self.waiting.is_empty() && self.pace.counts_bytes() => 0,
            Room::After(until) => return Take::Blocked(until),
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
        self.pace.sent(message.len() as u64, now);
        Take::Message(message)
    }
}
