//! Encodes the messages of a server.

use super::frame::frame;
use super::opcode::{BINARY, RSV1, TEXT};
use super::{Deflate, SocketMessage};
use bytes::{Bytes, BytesMut};

/// The encoding of broadcast messages for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BroadcastEncoding {
    /// A frame.
    Frame,
    /// A frame, compressed unless the message is small or compression saves almost nothing.
    DeflatedFrame,
    /// The content without framing, terminated with a NUL byte, for message sockets.
    NulTerminated,
}

impl BroadcastEncoding {
    pub(super) const ALL: [BroadcastEncoding; 3] = [
        BroadcastEncoding::Frame,
        BroadcastEncoding::DeflatedFrame,
        BroadcastEncoding::NulTerminated,
    ];

    /// Returns the encoding for a WebSocket client with the negotiated compression. Clients with a window below the maximum get
    /// uncompressed frames, because a message is compressed only once, for all clients.
    pub(crate) fn negotiated(deflate: Option<Deflate>) -> BroadcastEncoding {
        if deflate.is_some_and(Deflate::has_max_window) {
            BroadcastEncoding::DeflatedFrame
        } else {
            BroadcastEncoding::Frame
        }
    }

    /// Encodes a message.
    pub(crate) fn encode(self, message: &SocketMessage) -> Bytes {
        let compressed = match self {
            BroadcastEncoding::NulTerminated => return nul_terminated(message.as_bytes()),
            BroadcastEncoding::Frame => None,
            BroadcastEncoding::DeflatedFrame => Deflate::deflate_for_broadcast(message.as_bytes()),
        };
        encode_frame(message, compressed)
    }
}

/// Encodes a message for one WebSocket client with the negotiated compression.
pub(crate) fn message_frame(message: &SocketMessage, deflate: Option<Deflate>) -> Bytes {
    encode_frame(
        message,
        deflate.and_then(|deflate| deflate.deflate(message.as_bytes())),
    )
}

fn encode_frame(message: &SocketMessage, compressed: Option<Vec<u8>>) -> Bytes {
    let opcode = match message {
        SocketMessage::Text(_) => TEXT,
        SocketMessage::Binary(_) => BINARY,
    };
    match compressed {
        Some(compressed) => frame(RSV1 | opcode, &compressed),
        None => frame(opcode, message.as_bytes()),
    }
}

/// Encodes a message for a message socket: the content, terminated with a NUL byte. NUL bytes in the content are removed, because
/// they would end the message.
pub(crate) fn nul_terminated(bytes: &[u8]) -> Bytes {
    let mut encoded = BytesMut::with_capacity(bytes.len() + 1);
    encoded.extend(bytes.iter().filter(|byte| **byte != 0));
    encoded.extend_from_slice(b"\0");
    encoded.freeze()
}
