//! A message of a client, until the handler takes it.

use super::frame::TEXT;
use super::{Close, Deflate, SocketMessage};
use bytes::Bytes;

/// A message as it came. What is deflated stays so until the handler takes it: then it is the handler that works for it,
/// and waits take no more memory than what was sent.
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
    /// A message that is not deflated.
    ///
    /// # Errors
    ///
    /// A text that is not UTF-8.
    pub(super) fn plain(
        opcode: u8,
        bytes: impl Into<Bytes> + Into<Vec<u8>>,
    ) -> Result<InboundMessage, Close> {
        message(opcode, bytes).map(InboundMessage::Plain)
    }

    /// How many bytes wait.
    pub(crate) fn size(&self) -> usize {
        match self {
            InboundMessage::Plain(message) => message.as_bytes().len(),
            InboundMessage::Deflated { bytes, .. } => bytes.len(),
        }
    }

    /// The message.
    ///
    /// # Errors
    ///
    /// It cannot be inflated, becomes too large, or is a text that is not UTF-8.
    pub(super) fn read(self) -> Result<SocketMessage, Close> {
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
