//! Reads the frames of one client.

use crate::websocket::codec::{FrameError, MessageDecoder};
use crate::websocket::{Close, Deflate, FrameAction, SocketPeer};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf};

/// Free space of the buffer before each read, in bytes.
const READ_SIZE: usize = 8 << 10;

/// Reads the frames of a client.
pub(super) struct WebSocketReader<I> {
    pub(super) stream: ReadHalf<I>,
    buffer: BytesMut,
    decoder: MessageDecoder,
    peer: SocketPeer,
}

impl<I: AsyncRead> WebSocketReader<I> {
    pub(super) fn new(
        stream: ReadHalf<I>,
        message_limit: usize,
        deflate: Option<Deflate>,
    ) -> WebSocketReader<I> {
        WebSocketReader {
            stream,
            buffer: BytesMut::new(),
            decoder: MessageDecoder::new(message_limit),
            peer: SocketPeer::new(message_limit, deflate),
        }
    }

    /// Receives the next frame, and returns what to do about it. Returns `None` if the connection is lost. Cancel safe.
    pub(super) async fn receive(&mut self) -> Option<FrameAction> {
        loop {
            match self.decoder.decode(&mut self.buffer) {
                Ok(Some((first, payload))) => return Some(self.peer.receive(first, payload)),
                Ok(None) => {}
                Err(FrameError::TooLarge) => return Some(self.peer.end(Close::TOO_LARGE)),
                Err(FrameError::Protocol(violation)) => {
                    tracing::debug!(violation, "WebSocket client violated the protocol");
                    return Some(self.peer.end(Close::PROTOCOL));
                }
            }
            self.buffer.reserve(READ_SIZE);
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
}
