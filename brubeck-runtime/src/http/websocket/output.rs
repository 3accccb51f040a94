//! The frames that are being written to one client.

use crate::websocket::{ReadProgress, frame_size};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use tokio::io::AsyncWrite;

/// Size from which the output takes no further frames, in bytes.
const BUFFER_SIZE: usize = 16 << 10;
/// Size from which a frame is written from its own buffer, instead of together with others, in bytes.
const LARGE_FRAME_BYTES: usize = 4 << 10;

/// The frames that are being written to a client.
#[derive(Default)]
pub(super) struct Output {
    /// Each consists of whole frames.
    chunks: VecDeque<Bytes>,
    /// Small frames, which are written together, after the chunks.
    small: BytesMut,
    /// The total size of both, including the bytes of the first chunk that are written.
    size: usize,
    /// The bytes of the first chunk that are written.
    written: usize,
    needs_flush: bool,
    /// Bytes of pongs that were added since the output was last empty.
    pub(super) pong_bytes: usize,
    /// `true` if a frame of a broadcast was added since the output was last empty.
    pub(super) has_broadcasts: bool,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0 && !self.needs_flush
    }

    pub(super) fn is_full(&self) -> bool {
        self.size >= BUFFER_SIZE
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.size += frame.len();
        if frame.len() < LARGE_FRAME_BYTES {
            self.small.extend_from_slice(&frame);
        } else {
            self.seal_small();
            self.chunks.push_back(frame);
        }
    }

    pub(super) fn push_pong(&mut self, pong: Bytes) {
        self.pong_bytes += pong.len();
        self.push(pong);
    }

    fn seal_small(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
    }

    /// Writes as much as the client accepts now, and waits until it accepts something. Returns `true` if it had to wait, which shows that the
    /// client has read something. Cancel safe.
    pub(super) async fn write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        reading: &ReadProgress,
    ) -> io::Result<bool> {
        if self.chunks.is_empty() {
            self.seal_small();
        }
        let result = poll_fn(|cx| {
            let Some(chunk) = self.chunks.front() else {
                return Pin::new(&mut *stream).poll_flush(cx).map_ok(|()| 0);
            };
            let unwritten = chunk.get(self.written..).unwrap_or_default();
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, unwritten))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            Poll::Ready(Ok(written))
        });
        let mut result = std::pin::pin!(result);
        let mut was_blocked = false;
        let written = poll_fn(|cx| {
            let polled = result.as_mut().poll(cx);
            if polled.is_pending() {
                reading.block();
            } else {
                was_blocked = reading.accept();
            }
            polled
        })
        .await?;
        self.advance(written);
        Ok(was_blocked)
    }

    /// Removes written bytes. Nothing is left to be flushed if there were none.
    fn advance(&mut self, written: usize) {
        self.needs_flush = written > 0;
        self.written += written;
        if let Some(chunk) = self.chunks.front()
            && self.written >= chunk.len()
        {
            self.size -= chunk.len();
            self.written = 0;
            self.chunks.pop_front();
        }
        if self.is_empty() {
            // An idle connection has no buffer.
            self.small = BytesMut::new();
            self.pong_bytes = 0;
            self.has_broadcasts = false;
        }
    }

    /// Drops all frames of which nothing is written. The rest of a frame that is being written stays, because another frame can only follow
    /// a whole one.
    pub(super) fn keep_started_frame(&mut self) {
        self.small.clear();
        let written = std::mem::take(&mut self.written);
        let first = self.chunks.pop_front().filter(|_| written > 0);
        self.chunks.clear();
        self.size = 0;
        if let Some(chunk) = first {
            let mut end = 0;
            while end < written {
                let rest = chunk.get(end..).unwrap_or_default();
                // The chunk consists of whole frames, so the size is known.
                end += frame_size(rest).unwrap_or(rest.len()).max(1);
            }
            let rest = chunk.slice(written..end.min(chunk.len()));
            self.size = rest.len();
            self.chunks.extend((!rest.is_empty()).then_some(rest));
        }
    }
}
