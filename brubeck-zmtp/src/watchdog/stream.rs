//! Sockets that a watched task can use while the I/O driver of its runtime is not polled.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use super::is_polled_directly;

/// A stream, or a half of one, whose operations use the socket directly while the watchdog polls their task.
///
/// Readiness is edge-triggered: a runtime that has not seen bytes or space in the buffer of the socket gets an event for them, also if
/// this type has used them up in the meantime. So nothing has to be registered again.
#[derive(Debug)]
pub struct WatchedStream<S>(S);

impl<S> WatchedStream<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self(stream)
    }

    /// Returns the stream.
    pub fn into_inner(self) -> S {
        self.0
    }
}

impl<S> Deref for WatchedStream<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

/// Splits a stream into halves that need no lock.
macro_rules! split {
    ($stream:ty, $module:ident) => {
        impl WatchedStream<$stream> {
            /// Splits the stream into borrowed halves.
            pub fn split(
                &mut self,
            ) -> (
                WatchedStream<$module::ReadHalf<'_>>,
                WatchedStream<$module::WriteHalf<'_>>,
            ) {
                let (reader, writer) = self.0.split();
                (WatchedStream(reader), WatchedStream(writer))
            }

            /// Splits the stream into owned halves.
            pub fn into_split(
                self,
            ) -> (
                WatchedStream<$module::OwnedReadHalf>,
                WatchedStream<$module::OwnedWriteHalf>,
            ) {
                let (reader, writer) = self.0.into_split();
                (WatchedStream(reader), WatchedStream(writer))
            }
        }

        impl HasSocket for $stream {
            fn socket(&self) -> SockRef<'_> {
                SockRef::from(self)
            }
        }
    };
}

split!(TcpStream, tcp);
split!(UnixStream, unix);

/// A type with a socket.
pub trait HasSocket {
    #[doc(hidden)]
    fn socket(&self) -> SockRef<'_>;
}

macro_rules! half {
    ($($half:ty),*) => {
        $(impl HasSocket for $half {
            fn socket(&self) -> SockRef<'_> {
                SockRef::from(self.as_ref())
            }
        })*
    };
}

half!(
    tcp::ReadHalf<'_>,
    tcp::WriteHalf<'_>,
    tcp::OwnedReadHalf,
    tcp::OwnedWriteHalf
);
half!(
    unix::ReadHalf<'_>,
    unix::WriteHalf<'_>,
    unix::OwnedReadHalf,
    unix::OwnedWriteHalf
);

/// The maximum number of bytes per read of a stream that the watchdog polls. The bytes are set to zero before they are read.
pub(crate) const MAX_DIRECT_READ: usize = 64 << 10;

/// Repeats an operation that was interrupted. The task is not woken after `WouldBlock`: the watchdog polls it again.
pub(crate) fn poll_direct<T>(mut operation: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
}

impl<S: AsyncRead + HasSocket + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !is_polled_directly() {
            return Pin::new(&mut self.0).poll_read(cx, buffer);
        }
        let socket = self.0.socket();
        let length = buffer.remaining().min(MAX_DIRECT_READ);
        poll_direct(|| {
            let count = (&*socket).read(buffer.initialize_unfilled_to(length))?;
            buffer.advance(count);
            Ok(())
        })
    }
}

impl<S: AsyncWrite + HasSocket + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !is_polled_directly() {
            return Pin::new(&mut self.0).poll_write(cx, bytes);
        }
        let socket = self.0.socket();
        poll_direct(|| (&*socket).write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !is_polled_directly() {
            return Pin::new(&mut self.0).poll_write_vectored(cx, slices);
        }
        let socket = self.0.socket();
        poll_direct(|| (&*socket).write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither type waits: shutting down the sending direction of a socket is one system call.
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
