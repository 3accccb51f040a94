//! What came from a peer and was not taken yet.

use bytes::BytesMut;

use crate::codec::frames::{Decoder, FrameLimits, Said, Violation};

/// Bytes read at once: few from a peer that is mostly idle, more while it fills them.
const FIRST_CHUNK: usize = 2 << 10;
const LARGEST_CHUNK: usize = 64 << 10;

/// Bytes of a peer, and what they say.
#[derive(Debug)]
pub struct Input {
    bytes: BytesMut,
    decoder: Decoder,
    chunk: usize,
    least: usize,
}

impl Input {
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            bytes: BytesMut::new(),
            decoder: Decoder::new(limits),
            chunk: FIRST_CHUNK,
            least: FIRST_CHUNK,
        }
    }

    /// From now on as much is read at once as can be.
    pub fn expects_much(&mut self) {
        (self.chunk, self.least) = (LARGEST_CHUNK, LARGEST_CHUNK);
    }

    /// Where more bytes are to be read to.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.bytes.is_empty() && self.bytes.capacity() > LARGEST_CHUNK.min(2 * self.chunk) {
            // An idle peer keeps no large buffer.
            self.bytes = BytesMut::new();
        }
        self.bytes.reserve(self.chunk);
        &mut self.bytes
    }

    /// So many bytes more have come.
    pub fn came(&mut self, count: usize) {
        self.chunk = match count >= self.chunk {
            true => (self.chunk * 2).min(LARGEST_CHUNK),
            false => count.next_power_of_two().clamp(self.least, self.chunk),
        };
    }

    /// The next thing the peer says, if it is here.
    ///
    /// # Errors
    /// The peer breaks a limit or the protocol, and the connection is to be closed.
    pub fn next(&mut self) -> Result<Option<Said>, Violation> {
        self.decoder.next(&mut self.bytes)
    }
}
