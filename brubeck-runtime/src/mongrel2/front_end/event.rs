//! What the tasks of handlers tell the loop that owns the link.

use super::pipeline::{End, Piece};
use crate::websocket::{Close, Seat as Ticket};
use bytes::Bytes;

#[derive(Debug)]
pub(in crate::mongrel2) enum Event {
    /// Some of the reply to a request, or all of it with its end.
    Reply {
        ticket: Ticket,
        pieces: Vec<Piece>,
        end: Option<End>,
    },
    /// A handler takes a WebSocket: the head of the response that opens it.
    Open { ticket: Ticket, head: Bytes },
    /// A handler closes its WebSocket, or a message socket.
    Shut { ticket: Ticket, close: Close },
    /// Something for the client of a message socket that answers nothing.
    Push { ticket: Ticket, piece: Piece },
    /// The same bytes for many.
    Cast { to: Vec<Ticket>, bytes: Bytes },
    /// A handler can take so many more bytes of an upload.
    Allow { ticket: Ticket, bytes: u32 },
}
