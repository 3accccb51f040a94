//! A message of a client, in the queue of the handler.

use super::frame::TEXT;
use super::{Close, Deflate, SocketMessage};
use bytes::Bytes;

/// A message from a client, as it was received.
///
/// Compressed messages are decompressed when the handler receives them. The cost is then part of the handler's task, and queued
/// messages take no more memory than the client has sent.
#[derive(Debug, PartialEq)]
pub(crate) enum InboundMessage {
    Plain(SocketMessage),
    Deflated {
        opcode: u8,
        bytes: Bytes,
        deflate: Deflate,
        limit: usize,
    },
}

impl InboundMessage {
    /// Creates a message that is not compressed.
    ///
    /// # Errors
    ///
    /// Returns the close for the client if a text message is not UTF-8.
    pub(super) fn plain(
        opcode: u8,
        bytes: impl Into<Bytes> + Into<Vec<u8>>,
    ) -> Result<InboundMessage, Close> {
        message(opcode, bytes).map(InboundMessage::Plain)
    }

    /// Returns the size of the payload as it was received, in bytes: compressed, if it is.
    pub(crate) fn size(&self) -> usize {
        match self {
            InboundMessage::Plain(message) => message.as_bytes().len(),
            InboundMessage::Deflated { bytes, .. } => bytes.len(),
        }
    }

    /// Decompresses and validates the message.
    ///
    /// # Errors
    ///
    /// Returns the close for the client if the message cannot be decompressed, exceeds the limit, or is a text message that is not
    /// UTF-8.
    pub(super) fn decode(self) -> Result<SocketMessage, Close> {
        match self {
            InboundMessage::Plain(message) => Ok(message),
            InboundMessage::Deflated {
                opcode,
                bytes,
                deflate,
                limit,
            } => message(opcode, deflate.inflate(&bytes, limit)?),
        }
    }
}

fn message(opcode: u8, bytes: impl Into<Bytes> + Into<Vec<u8>>) -> Result<SocketMessage, Close> {
    match opcode {
        TEXT => String::from_utf8(bytes.into())
            .map(SocketMessage::Text)
            .map_err(|_| Close::NOT_UTF8),
        _ => Ok(SocketMessage::Binary(bytes.into())),
    }
}
