//! A message of a client, in the queue of the handler.

use super::codec::compressed_limit;
use super::opcode::TEXT;
use super::{Close, Deflate, SocketMessage};
use bytes::Bytes;
use tokio::sync::Semaphore;

/// Limit for messages that wait for the handler, in bytes. It is higher if a single message may be larger.
const INBOUND_BUDGET: usize = 4 << 20;
/// The least that a message takes of [`INBOUND_BUDGET`], in bytes. Bounds the number of tiny messages.
const MIN_INBOUND_COST: usize = 256;

/// The close for a client that sends more than its handler receives.
pub(crate) const TOO_MANY_MESSAGES: Close = Close::with_reason(1008, "too many messages are waiting");

/// Returns the budget for the messages that wait for a handler, if a message may have `message_limit` bytes.
pub(crate) fn inbound_budget(message_limit: usize) -> usize {
    // The largest message must fit. A compressed message may be larger than the limit.
    INBOUND_BUDGET
        .max(compressed_limit(message_limit))
        .min(Semaphore::MAX_PERMITS)
        .min(u32::MAX as usize)
}

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

    /// Returns the part of the [budget](inbound_budget) that the message takes while it waits: the size of the payload as it was
    /// received, compressed if it is, but at least [`MIN_INBOUND_COST`].
    pub(crate) fn cost(&self) -> u32 {
        let size = match self {
            InboundMessage::Plain(message) => message.as_bytes().len(),
            InboundMessage::Deflated { bytes, .. } => bytes.len(),
        };
        u32::try_from(size.max(MIN_INBOUND_COST)).unwrap_or(u32::MAX)
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
