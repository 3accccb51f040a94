//! The writing half of a connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::ConnectionError;
use crate::codec::encode_header;
use crate::watchdog::timeout_at;

/// Frames below this size, in bytes, are copied into one buffer. Larger frames are written from their own memory. For small
/// frames, a copy costs less than another slice in the system call.
const COPY_BELOW: usize = 4 << 10;

/// Maximum number of slices per system call.
const MAX_SLICES: usize = 16;

/// Number of unwritten `PONG`s at which the connection is not read until they are written. Otherwise a peer that sends
/// heartbeats and reads nothing would fill the memory. `PING`s that are already in the read buffer may add more.
const MAX_PENDING_PONGS: usize = 4;

/// Writes messages to a peer.
///
/// The `push` methods add to a buffer without waiting. [`write`](Self::write) and [`flush`](Self::flush) write the buffer.
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    buffer: WriteBuffer,
    pending_pongs: usize,
    /// `true` if the stream may still buffer bytes that were written to it.
    flush_pending: bool,
    /// The time at which the peer counts as stalled, unless it accepts bytes before.
    stall_deadline: Option<Instant>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self {
            stream,
            buffer: WriteBuffer::default(),
            pending_pongs: 0,
            flush_pending: false,
            stall_deadline: None,
        }
    }

    /// Returns `true` if everything that was pushed has been written and flushed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && !self.flush_pending
    }

    /// Adds a message to the buffer.
    #[inline]
    pub fn push_message(&mut self, message: Vec<Bytes>) {
        let mut remaining = message.len();
        for frame in message {
            remaining -= 1;
            self.buffer.push_frame(frame, remaining > 0);
        }
    }

    /// Adds a message of one frame to the buffer.
    #[inline]
    pub fn push_frame(&mut self, frame: Bytes) {
        self.buffer.push_frame(frame, false);
    }

    /// Adds the response to a heartbeat to the buffer.
    pub fn push_pong(&mut self, pong: &[u8]) {
        self.pending_pongs += 1;
        self.buffer.small.put_slice(pong);
    }

    /// Returns `false` if too many `PONG`s are unwritten. The peer must not be read until this returns `true` again.
    #[inline]
    pub fn accepts_pongs(&self) -> bool {
        self.pending_pongs < MAX_PENDING_PONGS
    }

    /// Writes a part of the buffer, and flushes the stream once the buffer is empty. Do not call it if [`is_empty`](Self::is_empty)
    /// is `true`. This method is cancel safe.
    ///
    /// # Errors
    /// Returns an error if the connection is lost, or if there is nothing to write. Returns [`ConnectionError::Stalled`] if the peer
    /// accepts no bytes for `stall_timeout`. The time is counted across calls, including cancelled ones. Without a timeout,
    /// this waits for as long as the peer takes.
    pub async fn write(&mut self, stall_timeout: Option<Duration>) -> Result<(), ConnectionError> {
        match stall_timeout {
            None => self.write_part().await?,
            Some(timeout) => {
                // The deadline is stored, so a cancelled call does not restart the timeout. Only progress does.
                let deadline = *self
                    .stall_deadline
                    .get_or_insert_with(|| Instant::now() + timeout);
                timeout_at(deadline, self.write_part())
                    .await
                    .map_err(|_| ConnectionError::Stalled)??;
            }
        }
        self.stall_deadline = None;
        if self.is_empty() {
            self.pending_pongs = 0;
        }
        Ok(())
    }

    /// Writes once, or flushes the stream if everything is written. The flush of a plain socket does nothing, so it follows the
    /// last write immediately; that of an encrypted stream may have to wait.
    async fn write_part(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            if self.buffer.write_to(&mut self.stream).await? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.flush_pending = true;
        } else if !self.flush_pending {
            return Err(ErrorKind::WriteZero.into());
        }
        if self.buffer.is_empty() {
            self.stream.flush().await?;
            self.flush_pending = false;
        }
        Ok(())
    }

    /// Writes the whole buffer. This method is cancel safe.
    ///
    /// # Errors
    /// Returns an error if the connection is lost.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        while !self.is_empty() {
            self.write(None).await?;
        }
        Ok(())
    }

    /// Closes the sending direction. Call [`flush`](Self::flush) before, because the buffer is not written.
    ///
    /// # Errors
    /// Returns an error if the connection is lost.
    pub async fn shutdown(&mut self) -> Result<(), ConnectionError> {
        Ok(self.stream.shutdown().await?)
    }
}

/// Encoded frames. Small frames share one buffer; large frames keep their own memory.
#[derive(Debug, Default)]
struct WriteBuffer {
    /// Large frames and the filled parts of `small` between them. Written before `small`.
    slices: VecDeque<Bytes>,
    small: BytesMut,
}

impl WriteBuffer {
    #[inline]
    fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.small.is_empty()
    }

    #[inline]
    fn push_frame(&mut self, frame: Bytes, more: bool) {
        encode_header(&mut self.small, frame.len(), more);
        if frame.len() < COPY_BELOW {
            self.small.put_slice(&frame);
        } else {
            // Seal the small frames before this frame, and the header of this frame, to preserve the order.
            self.slices.push_back(self.small.split().freeze());
            self.slices.push_back(frame);
        }
    }

    /// Writes once. Returns the number of bytes written.
    async fn write_to(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        let written = if self.slices.is_empty() {
            // The common case: one plain write, without building slices.
            stream.write(&self.small).await?
        } else {
            let mut io_slices = [IoSlice::new(&[]); MAX_SLICES];
            let slices = self.slices.iter().map(|slice| &slice[..]);
            let mut count = 0;
            for (io_slice, slice) in io_slices.iter_mut().zip(slices.chain([&self.small[..]])) {
                *io_slice = IoSlice::new(slice);
                count += 1;
            }
            stream
                .write_vectored(io_slices.get(..count).unwrap_or_default())
                .await?
        };
        self.advance(written);
        Ok(written)
    }

    /// Removes `written` bytes from the front.
    fn advance(&mut self, mut written: usize) {
        while written > 0 {
            match self.slices.front_mut() {
                Some(slice) if slice.len() > written => return slice.advance(written),
                Some(slice) => {
                    written -= slice.len();
                    self.slices.pop_front();
                }
                None => return self.small.advance(written.min(self.small.len())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A stream that accepts a few bytes at a time.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..taken]);
            std::task::Poll::Ready(Ok(taken))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn writes_pushed_messages_in_order(
            sizes in prop::collection::vec(prop::collection::vec(prop_oneof![0..300_usize, 4000..9000_usize], 1..4), 1..6),
            width in 1..3000_usize,
        ) {
            let mut expected = Vec::new();
            let mut writer = FrameWriter::new(Narrow(Vec::new(), width));
            for (number, sizes) in sizes.iter().enumerate() {
                let frames: Vec<Bytes> = sizes.iter().map(|size| vec![number as u8; *size].into()).collect();
                for (index, frame) in frames.iter().enumerate() {
                    encode_header(&mut expected, frame.len(), index + 1 < frames.len());
                    expected.extend_from_slice(frame);
                }
                writer.push_message(frames);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                writer.flush().await.unwrap();
            });
            prop_assert!(writer.stream.0 == expected);
        }
    }
}
