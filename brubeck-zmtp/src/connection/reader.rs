//! The reading half of a connection.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::ConnectionError;
use crate::codec::{Decoded, FrameDecoder, FrameLimits, Violation};
use crate::watchdog::timeout_at;

/// Bounds of the read size, in bytes. The size doubles after a read that fills it, and shrinks after a smaller read
/// to about the number of bytes read.
const MIN_CHUNK: usize = 2 << 10;
const MAX_CHUNK: usize = 64 << 10;

/// Reads messages and heartbeats from a peer.
#[derive(Debug)]
pub struct FrameReader<R> {
    reader: R,
    buffer: BytesMut,
    decoder: FrameDecoder,
    /// Size of the next read, in bytes.
    chunk: usize,
    min_chunk: usize,
    max_chunk: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(reader: R, decoder: FrameDecoder) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            decoder,
            chunk: MIN_CHUNK,
            min_chunk: MIN_CHUNK,
            max_chunk: MAX_CHUNK,
        }
    }

    /// Replaces the limits. A read takes no more bytes than a message may have, but at least [`MIN_CHUNK`].
    pub(crate) fn set_limits(&mut self, limits: FrameLimits) {
        self.decoder.set_limits(limits);
        self.max_chunk = limits.max_message_bytes.clamp(MIN_CHUNK, MAX_CHUNK);
    }

    /// Reads with the maximum size from now on, for a peer that sends large messages after idle periods.
    pub(crate) fn use_large_chunks(&mut self) {
        (self.chunk, self.min_chunk) = (MAX_CHUNK, MAX_CHUNK);
    }

    /// Waits for the next message or heartbeat. This method is cancel safe.
    ///
    /// # Errors
    /// Returns an error if the connection has ended, or if the peer violated the protocol or a limit. The connection must
    /// not be used after an error.
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

    /// Returns the next message or heartbeat if it is already in the buffer.
    ///
    /// # Errors
    /// Returns an error if the peer violated the protocol or a limit. The connection must be closed.
    #[inline]
    pub fn next_buffered(&mut self) -> Result<Option<Decoded>, Violation> {
        self.decoder.decode(&mut self.buffer)
    }

    /// Reads once into the buffer. Returns 0 if the peer has closed the connection. This method is cancel safe.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        // Connections of idle peers must not keep large buffers.
        if self.buffer.is_empty() && self.buffer.capacity() > MAX_CHUNK.min(2 * self.chunk) {
            self.buffer = BytesMut::new();
        }
        // The rest of a large frame is read into the space that the decoder has reserved for it. A larger buffer would be another one, to
        // which the frame would have to be copied.
        if !self.decoder.is_in_large_frame() || self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve(self.chunk);
        }
        let count = self.reader.read_buf(&mut self.buffer).await?;
        self.chunk = if count >= self.chunk {
            (self.chunk * 2).min(self.max_chunk)
        } else {
            count.next_power_of_two().clamp(self.min_chunk, self.chunk)
        };
        Ok(count)
    }

    /// Reads and discards bytes until the peer closes the connection or `deadline` passes.
    ///
    /// Call it before closing a TCP connection whose last messages matter: the system resets a connection that is closed
    /// with unread bytes, and a reset discards bytes that the peer has not read yet.
    pub async fn discard_until(&mut self, deadline: Instant) {
        let mut discarded = BytesMut::with_capacity(4 << 10);
        let drained = async {
            while self
                .reader
                .read_buf(&mut discarded)
                .await
                .is_ok_and(|count| count > 0)
            {
                discarded.clear();
            }
        };
        let _ = timeout_at(deadline, drained).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode_header;
    use bytes::Bytes;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::ReadBuf;

    /// A stream that returns up to 50,000 bytes at a time.
    struct InParts(Bytes);

    impl AsyncRead for InParts {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let length = self.0.len().min(buffer.remaining()).min(50_000);
            buffer.put_slice(&self.0.split_to(length));
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn large_frame_is_not_moved_after_its_beginning_and_takes_no_other_memory() {
        const LENGTH: usize = 5 << 20;
        let mut stream = Vec::new();
        for _ in 0..3 {
            encode_header(&mut stream, LENGTH, false);
            stream.extend(vec![7; LENGTH]);
        }
        let limits = FrameLimits {
            max_message_bytes: 8 << 20,
            max_frames: 3,
        };
        let mut reader = FrameReader::new(InParts(stream.into()), FrameDecoder::new(limits));
        for _ in 0..3 {
            let (mut moves, mut place) = (0, reader.buffer.as_ptr());
            let frames = loop {
                if let Some(Decoded::Message(frames)) = reader.next_buffered().unwrap() {
                    break frames;
                }
                assert!(reader.fill().await.unwrap() > 0);
                // Moves of the first 256 KiB do not count.
                if reader.buffer.len() > 300_000 && reader.buffer.as_ptr() != place {
                    moves += 1;
                }
                place = reader.buffer.as_ptr();
            };
            assert!(moves <= 1, "{moves} moves");
            assert_eq!(frames[0].len(), LENGTH);
            assert!(
                reader.buffer.is_empty(),
                "the next frame is in the memory of this one"
            );
        }
    }
}
