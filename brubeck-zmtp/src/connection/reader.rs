//! The reading half of a connection.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::ConnectionError;
use crate::codec::{Decoded, FrameDecoder, Violation};

/// Bytes read at once: few while the peer is mostly idle, more while it fills them.
const MIN_CHUNK: usize = 2 << 10;
const MAX_CHUNK: usize = 64 << 10;

/// Reads messages and heartbeats from a peer.
#[derive(Debug)]
pub struct FrameReader<R> {
    reader: R,
    buffer: BytesMut,
    decoder: FrameDecoder,
    /// Bytes that the next read makes space for.
    chunk: usize,
    min_chunk: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(reader: R, decoder: FrameDecoder) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            decoder,
            chunk: MIN_CHUNK,
            min_chunk: MIN_CHUNK,
        }
    }

    /// Always reads as much at once as possible, for a peer that sends much after idle times.
    pub(crate) fn use_large_chunks(&mut self) {
        (self.chunk, self.min_chunk) = (MAX_CHUNK, MAX_CHUNK);
    }

    /// Waits for the next message or heartbeat. Cancel safe.
    ///
    /// # Errors
    /// Returns an error if the connection has ended or the peer broke a rule. It must not be used again.
    pub async fn next(&mut self) -> Result<Decoded, ConnectionError> {
        loop {
            if let Some(decoded) = self.next_buffered()? {
                return Ok(decoded);
            }
            if self.fill().await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }

    /// Returns the next message or heartbeat if it was received already.
    ///
    /// # Errors
    /// Returns the rule that the peer broke. The connection must be closed.
    #[inline]
    pub fn next_buffered(&mut self) -> Result<Option<Decoded>, Violation> {
        self.decoder.decode(&mut self.buffer)
    }

    /// Reads once from the peer. Returns 0 if it has closed the connection. Cancel safe.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        if self.buffer.is_empty() && self.buffer.capacity() > MAX_CHUNK.min(2 * self.chunk) {
            // Connections of idle peers must not keep large buffers.
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(self.chunk);
        let count = self.reader.read_buf(&mut self.buffer).await?;
        self.chunk = if count >= self.chunk {
            (self.chunk * 2).min(MAX_CHUNK)
        } else {
            count.next_power_of_two().clamp(self.min_chunk, self.chunk)
        };
        Ok(count)
    }

    /// Reads and drops what the peer sends, until it closes the connection or `deadline` has passed.
    ///
    /// Closing a connection with unread bytes resets it, and a reset destroys the last messages to the peer.
    pub async fn discard_until(&mut self, deadline: Instant) {
        let mut unread = BytesMut::with_capacity(4 << 10);
        let drained = async {
            while self
                .reader
                .read_buf(&mut unread)
                .await
                .is_ok_and(|count| count > 0)
            {
                unread.clear();
            }
        };
        let _ = timeout_at(deadline, drained).await;
    }
}
