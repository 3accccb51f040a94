//! What a message becomes on its way to a client.

use super::frame::{BINARY, DEFLATED, TEXT, frame};
use super::{Deflate, SocketMessage};
use bytes::{Bytes, BytesMut};

/// How a client wants what is sent to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BroadcastEncoding {
    /// As a frame.
    Frame,
    /// As a frame, deflated where that is worth it.
    DeflatedFrame,
    /// As the text alone, with a NUL behind: the client of a message socket.
    NulTerminated,
}

impl BroadcastEncoding {
    pub(super) const ALL: [BroadcastEncoding; 3] = [
        BroadcastEncoding::Frame,
        BroadcastEncoding::DeflatedFrame,
        BroadcastEncoding::NulTerminated,
    ];

    /// Of the client of a WebSocket that agreed to this. One that looks back less far than the others is sent what is
    /// not deflated.
    pub(crate) fn negotiated(deflate: Option<Deflate>) -> BroadcastEncoding {
        match deflate.is_some_and(Deflate::is_common) {
            true => BroadcastEncoding::DeflatedFrame,
            false => BroadcastEncoding::Frame,
        }
    }

    /// A message in this form.
    pub(crate) fn of(self, message: &SocketMessage) -> Bytes {
        let small = match self {
            BroadcastEncoding::NulTerminated => return nul_terminated(message.as_bytes()),
            BroadcastEncoding::Frame => None,
            BroadcastEncoding::DeflatedFrame => Deflate::for_all(message.as_bytes()),
        };
        whole(message, small)
    }
}

/// A whole message, for a client of a WebSocket that agreed to this.
pub(crate) fn message_frame(message: &SocketMessage, deflate: Option<Deflate>) -> Bytes {
    whole(
        message,
        deflate.and_then(|deflate| deflate.deflate(message.as_bytes())),
    )
}

fn whole(message: &SocketMessage, small: Option<Vec<u8>>) -> Bytes {
    let opcode = match message {
        SocketMessage::Text(_) => TEXT,
        SocketMessage::Binary(_) => BINARY,
    };
    match small {
        Some(small) => frame(DEFLATED | opcode, &small),
        None => frame(opcode, message.as_bytes()),
    }
}

/// What the client of a message socket is sent. It finds the end by the NUL, so there is none within.
pub(crate) fn nul_terminated(bytes: &[u8]) -> Bytes {
    let mut ended = BytesMut::with_capacity(bytes.len() + 1);
    ended.extend(bytes.iter().filter(|byte| **byte != 0));
    ended.extend_from_slice(b"\0");
    ended.freeze()
}
