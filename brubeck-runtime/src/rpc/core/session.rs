//! One session between a caller and a worker, and the random numbers that begin it.

use crate::rpc::codec::{EncodeError, InvalidMessage, MacKey, Position, RawMessage, WireMessage, seal};
use bytes::Bytes;

/// Seals what goes out and opens what comes in, each message once and in order.
///
/// ZeroMQ keeps the order of a link, so a counter that does not grow is a message that came before.
#[derive(Debug)]
pub(super) struct Session {
    id: u64,
    sends: MacKey,
    receives: MacKey,
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
    Unreadable(InvalidMessage),
}

impl Session {
    pub(super) fn new(id: u64, sends: MacKey, receives: MacKey) -> Self {
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

    pub(super) fn seal(&mut self, message: &WireMessage) -> Result<Vec<Bytes>, EncodeError> {
        let position = Position {
            session: self.id,
            counter: self.sent + 1,
            ack: self.received,
        };
        let frames = seal(message, position, &self.sends)?;
        self.sent += 1;
        Ok(frames)
    }

    /// The message, and the highest counter that the other side says it has.
    pub(super) fn open(&mut self, raw: &RawMessage) -> Result<(WireMessage, u64), Dropped> {
        let head = raw.head();
        if head.session != self.id {
            return Err(Dropped::Forged);
        }
        let message = raw.open(&self.receives).ok_or(Dropped::Forged)?;
        if head.counter <= self.received {
            return Err(Dropped::Replayed);
        }
        self.received = head.counter;
        Ok((message.map_err(Dropped::Unreadable)?, head.ack.min(self.sent)))
    }
}

/// Random bytes for nonces and session ids, and cheap numbers for choices between equals.
#[derive(Debug)]
pub(super) struct Entropy {
    seed: MacKey,
    drawn: u64,
    cheap: u64,
}

impl Entropy {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let mut entropy = Self {
            seed: MacKey::new(seed),
            drawn: 0,
            cheap: 0,
        };
        entropy.cheap = entropy.number();
        entropy
    }

    /// Bytes that nobody without the seed can foretell.
    pub(super) fn bytes(&mut self) -> [u8; 32] {
        self.drawn += 1;
        self.seed.mac(&[b"random", &self.drawn.to_be_bytes()])
    }

    /// A number that nobody without the seed can foretell.
    pub(super) fn number(&mut self) -> u64 {
        let bytes = self.bytes();
        bytes.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk))
    }

    /// A number below `bound`, good for spreading load and nothing else; 0 if `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.cheap = self.cheap.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.cheap;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(bound).unwrap_or(0)
    }
}
