//! One end of an open session.

use bytes::Bytes;

use crate::codec::EncodeError;
use crate::rpc::codec::{Envelope, Key, Message, Place, Unreadable, seal};

/// Seals what goes out and opens what comes in, each message once and in order.
///
/// ZeroMQ keeps the order of a link, so a counter that does not grow is a message that came before.
#[derive(Debug)]
pub(super) struct Session {
    id: u64,
    sends: Key,
    receives: Key,
    sent: u64,
    received: u64,
}

/// Why a message was dropped.
#[derive(Debug)]
pub(super) enum Dropped {
    /// Its code, or its session, is wrong.
    Forged,
    /// It came before.
    Replayed,
    /// It is from the peer, and cannot be read.
    Unreadable(Unreadable),
}

impl Session {
    pub(super) fn new(id: u64, sends: Key, receives: Key) -> Self {
        Self {
            id,
            sends,
            receives,
            sent: 0,
            received: 0,
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// The counter of the last message that was sealed.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn seal(&mut self, message: &Message) -> Result<Vec<Bytes>, EncodeError> {
        let place = Place {
            session: self.id,
            counter: self.sent + 1,
            ack: self.received,
        };
        let frames = seal(message, place, &self.sends)?;
        self.sent += 1;
        Ok(frames)
    }

    /// The message, and the highest counter that the other side says it has.
    pub(super) fn open(&mut self, envelope: &Envelope) -> Result<(Message, u64), Dropped> {
        let head = envelope.head();
        if head.session != self.id {
            return Err(Dropped::Forged);
        }
        let message = envelope.open(&self.receives).ok_or(Dropped::Forged)?;
        if head.counter <= self.received {
            return Err(Dropped::Replayed);
        }
        self.received = head.counter;
        Ok((message.map_err(Dropped::Unreadable)?, head.ack.min(self.sent)))
    }
}
