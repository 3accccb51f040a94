//! The client of one WebSocket of the embedded server, frame by frame.

use crate::websocket::codec::{FrameError, Frames};
use crate::websocket::{Close, Deflate, Heard, Peer};
use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};

/// How much is read, and how much of small frames is written, at once.
const BUFFER: usize = 16 << 10;

pub(super) struct Client<I> {
    stream: BufWriter<I>,
    unread: BytesMut,
    frames: Frames,
    peer: Peer,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Client<I> {
    pub(super) fn new(stream: I, limit: usize, deflate: Option<Deflate>) -> Client<I> {
        Client {
            stream: BufWriter::with_capacity(BUFFER, stream),
            unread: BytesMut::new(),
            frames: Frames::new(limit),
            peer: Peer::new(limit, deflate),
        }
    }

    /// What the client says next; `None` where it is gone. Nothing is lost when the future is dropped.
    pub(super) async fn hear(&mut self) -> Option<Heard> {
        loop {
            match self.frames.next(&mut self.unread) {
                Ok(Some((first, payload))) => return Some(self.peer.hear(first, payload)),
                Ok(None) => {}
                Err(FrameError::TooLarge) => return Some(self.peer.end(Close::TOO_LARGE)),
                Err(FrameError::Protocol(what)) => {
                    tracing::debug!(what, "the client of a WebSocket does not keep to the rules");
                    return Some(self.peer.end(Close::PROTOCOL));
                }
            }
            self.unread.reserve(BUFFER / 2);
            if self.stream.read_buf(&mut self.unread).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Sends a frame; small ones wait for others, or to be flushed.
    pub(super) async fn feed(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().await
    }

    /// Sends a frame now.
    pub(super) async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.feed(frame).await?;
        self.flush().await
    }

    pub(super) fn into_stream(self) -> I {
        self.stream.into_inner()
    }
}
