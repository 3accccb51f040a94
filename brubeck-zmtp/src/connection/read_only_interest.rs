//! A Unix stream that avoids wake-ups when it mostly sends.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// Maximum number of bytes per read.
const MAX_READ: usize = 2 << 10;

/// A Unix stream that is registered for readability only.
///
/// A Unix socket becomes writable each time its peer reads. If it were registered for writability as well, each message
/// that the peer reads would wake our thread; these were measured to be half of all wake-ups. Instead, a second file
/// descriptor of the socket is registered for writability, and only while a write has to wait.
pub(super) struct ReadOnlyInterestStream {
    socket: AsyncFd<UnixStream>,
    /// The second file descriptor, registered for writability. Present only while a write waits.
    writable: Option<AsyncFd<UnixStream>>,
}

impl ReadOnlyInterestStream {
    pub(super) fn new(socket: tokio::net::UnixStream) -> io::Result<Self> {
        Ok(Self {
            socket: register(socket.into_std()?, Interest::READABLE)?,
            writable: None,
        })
    }

    /// Calls `send` until it does not report `WouldBlock`, waiting for writability in between.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        send: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Some(writable) = &self.writable else {
                match send(self.socket.get_ref()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let duplicate = self.socket.get_ref().try_clone()?;
                        self.writable = Some(register(duplicate, Interest::WRITABLE)?);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    sent => return Poll::Ready(sent),
                }
            };
            let mut ready = ready!(writable.poll_write_ready(cx))?;
            if let Ok(sent) = ready.try_io(|socket| send(socket.get_ref())) {
                self.writable = None;
                return Poll::Ready(sent);
            }
        }
    }
}

// `with_interest` is deprecated because of types that do not own their file descriptor, and its replacement is unsafe.
// `std::os::unix::net::UnixStream` owns its file descriptor.
#[allow(deprecated)]
fn register(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for ReadOnlyInterestStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let wanted = buffer.remaining().min(MAX_READ);
            let space = buffer.initialize_unfilled_to(wanted);
            if let Ok(read) = ready.try_io(|socket| socket.get_ref().read(space)) {
                buffer.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for ReadOnlyInterestStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |mut socket| socket.write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn write_waits_until_a_slow_peer_reads() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mut ours = ReadOnlyInterestStream::new(ours).unwrap();
        let many = vec![7; 1 << 20];
        let expected = many.clone();
        let (began, begin) = tokio::sync::oneshot::channel();
        let reading = tokio::spawn(async move {
            begin.await.unwrap();
            let mut read = Vec::new();
            theirs.read_to_end(&mut read).await.unwrap();
            theirs.write_all(b"thanks").await.unwrap();
            read
        });
        let written = ours.write(&many).await.unwrap();
        assert!(
            written < many.len(),
            "the message must not fit into the socket buffer"
        );
        assert!(
            futures_util::poll!(std::pin::pin!(ours.write_all(b"x"))).is_pending(),
            "the socket buffer is full"
        );
        assert!(ours.writable.is_some());
        began.send(()).unwrap();
        ours.write_all(&many[written..]).await.unwrap();
        assert!(ours.writable.is_none());
        ours.shutdown().await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "thanks");
        assert!(reading.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn write_fails_after_the_peer_closed() {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let mut ours = ReadOnlyInterestStream::new(ours).unwrap();
        drop(theirs);
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(ours.write(b"x").await.is_err());
    }
}
