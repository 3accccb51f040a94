//! The authenticated message channel of one session between a caller and a worker.

use crate::rpc::codec::{EncodeError, InvalidMessage, MacKey, Position, RawMessage, WireMessage, seal};
use bytes::Bytes;

/// Numbers and seals outgoing messages, and opens incoming ones, each at most once and in the order of their numbers.
///
/// ZeroMQ keeps the order of messages on a link. A counter that does not increase is therefore a replay. A gap is accepted: a
/// link may lose messages.
#[derive(Debug)]
pub(super) struct SecureChannel {
    session: u64,
    send_key: MacKey,
    receive_key: MacKey,
    last_sent: u64,
    last_received: u64,
}

/// The reason why an incoming message is dropped.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The session id is wrong, or the authentication code is wrong or missing.
    Forged,
    /// The counter is not above that of the last message.
    Replayed,
    /// The message is authentic but malformed.
    Invalid(InvalidMessage),
}

impl SecureChannel {
    pub(super) fn new(session: u64, send_key: MacKey, receive_key: MacKey) -> Self {
        Self {
            session,
            send_key,
            receive_key,
            last_sent: 0,
            last_received: 0,
        }
    }

    pub(super) const fn session(&self) -> u64 {
        self.session
    }

    /// Returns the counter of the last sealed message.
    pub(super) const fn last_sent(&self) -> u64 {
        self.last_sent
    }

    pub(super) fn seal(&mut self, message: &WireMessage) -> Result<Vec<Bytes>, EncodeError> {
        let position = Position {
            session: self.session,
            counter: self.last_sent + 1,
            ack: self.last_received,
        };
        let frames = seal(message, position, &self.send_key)?;
        self.last_sent += 1;
        Ok(frames)
    }

    /// Authenticates and decodes a message. Also returns the highest counter that the peer acknowledges.
    pub(super) fn open(&mut self, raw: &RawMessage<'_>) -> Result<(WireMessage, u64), OpenError> {
        let head = raw.head();
        if head.session != self.session {
            return Err(OpenError::Forged);
        }
        let message = raw.open(&self.receive_key).ok_or(OpenError::Forged)?;
        if head.counter <= self.last_received {
            return Err(OpenError::Replayed);
        }
        // A malformed message counts as received: its code and its counter are valid.
        self.last_received = head.counter;
        Ok((message.map_err(OpenError::Invalid)?, head.ack.min(self.last_sent)))
    }
}
