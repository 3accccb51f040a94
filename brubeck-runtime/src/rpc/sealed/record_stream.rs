//! A Unix stream that is read one TLS record at a time.

use brubeck_zmtp::watchdog::WatchedStream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// The length of the head of a TLS record. Its last two bytes are the length of the rest.
const RECORD_HEAD: usize = 5;

/// The maximum number of bytes per read.
const MAX_READ: usize = 2 << 10;

/// A Unix stream for the TLS handshake over `ipc`, after which the connection continues in clear.
///
/// A read never goes beyond the record that it is in, so that the bytes after the last record stay in the socket. Shutting
/// the stream down does not shut the socket down.
#[derive(Debug)]
pub(super) struct RecordStream {
    socket: WatchedStream<UnixStream>,
    /// A byte that was read before the handshake began.
    first_byte: Option<u8>,
    /// The bytes of the head of the current record that were read.
    head: [u8; RECORD_HEAD],
    head_read: usize,
    /// The bytes of the current record that were not read yet, without its head.
    body_left: usize,
}

impl RecordStream {
    pub(super) fn new(socket: WatchedStream<UnixStream>, first_byte: Option<u8>) -> RecordStream {
        RecordStream {
            socket,
            first_byte,
            head: [0; RECORD_HEAD],
            head_read: 0,
            body_left: 0,
        }
    }

    pub(super) fn into_socket(self) -> WatchedStream<UnixStream> {
        self.socket
    }

    /// Follows the records in the bytes that were read, which belong to one record.
    fn advance(&mut self, bytes: &[u8]) {
        if self.body_left > 0 {
            self.body_left = self.body_left.saturating_sub(bytes.len());
            return;
        }
        for byte in bytes {
            if let Some(place) = self.head.get_mut(self.head_read) {
                *place = *byte;
                self.head_read += 1;
            }
        }
        if self.head_read == RECORD_HEAD {
            let [.., high, low] = self.head;
            self.body_left = u16::from_be_bytes([high, low]).into();
            self.head_read = 0;
        }
    }
}

impl AsyncRead for RecordStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = match self.body_left {
            0 => RECORD_HEAD - self.head_read,
            left => left,
        };
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(byte) = self.first_byte.take() {
            self.advance(&[byte]);
            buffer.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; MAX_READ];
        let limit = limit.min(buffer.remaining()).min(MAX_READ);
        let mut part = ReadBuf::new(bytes.get_mut(..limit).unwrap_or_default());
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
        self.advance(part.filled());
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RecordStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
