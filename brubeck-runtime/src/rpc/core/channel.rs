//! The message channel of one session between a caller and a worker.

use crate::rpc::codec::{EncodeError, InvalidMessage, Position, RawMessage, WireMessage, encode};
use bytes::Bytes;

/// Numbers outgoing messages, and decodes incoming ones, each at most once and in the order of their numbers.
///
/// The connection is protected, and ZeroMQ keeps the order of its messages. A counter that does not increase is therefore a fault
/// of the peer. A gap is accepted: a link may lose messages.
#[derive(Debug)]
pub(super) struct SessionChannel {
    session: u64,
    last_sent: u64,
    last_received: u64,
}

/// The reason why an incoming message is dropped.
#[derive(Debug)]
pub(super) enum ReceiveError {
    /// The session id is that of another session.
    Misdirected,
    /// The counter is not above that of the last message.
    Repeated,
    /// The message is malformed.
    Invalid(InvalidMessage),
}

impl SessionChannel {
    /// Creates the channel of a session from which messages up to the counter `last_received` were received.
    pub(super) const fn new(session: u64, last_received: u64) -> Self {
        Self {
            session,
            last_sent: 0,
            last_received,
        }
    }

    /// Returns the counter of the last encoded message.
    pub(super) const fn last_sent(&self) -> u64 {
        self.last_sent
    }

    pub(super) fn encode(&mut self, message: &WireMessage) -> Result<Vec<Bytes>, EncodeError> {
        let position = Position {
            session: self.session,
            counter: self.last_sent + 1,
            ack: self.last_received,
        };
        let frames = encode(message, position)?;
        self.last_sent += 1;
        Ok(frames)
    }

    /// Decodes a message. Also returns the highest counter that the peer acknowledges.
    pub(super) fn decode(&mut self, raw: &RawMessage<'_>) -> Result<(WireMessage, u64), ReceiveError> {
        let head = raw.head();
        if head.session != self.session {
            return Err(ReceiveError::Misdirected);
        }
        if head.counter <= self.last_received {
            return Err(ReceiveError::Repeated);
        }
        // A malformed message counts as received.
        self.last_received = head.counter;
        let message = raw.decode().map_err(ReceiveError::Invalid)?;
        Ok((message, head.ack.min(self.last_sent)))
    }
}
