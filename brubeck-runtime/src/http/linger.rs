//! Closing a connection whose client is still sending (RFC 9112, section 9.6).
//!
//! If the server closed it at once, the bytes that it has not read would reset the connection, and a client that sends its whole body
//! before it reads would lose the response. So the server shuts down its sending side first, and discards what arrives for a while.

use futures_util::FutureExt;
use hyper::rt::{Read, ReadBuf};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Limit for the bytes that are discarded.
const MAX_DISCARDED_BYTES: usize = 256 << 20;

/// The longest time for which bytes are discarded.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest pause of the client.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The size of the buffer for discarded bytes.
const BUFFER_BYTES: usize = 16 << 10;

/// Discards what a client sends after the response, within limits.
pub(super) struct Linger {
    end: Instant,
    /// Set when the client pauses. Most clients have closed the connection already, and need no timer.
    timer: Option<Pin<Box<Sleep>>>,
    discarded: usize,
}

impl Linger {
    pub(super) fn start() -> Linger {
        Linger {
            end: Instant::now() + LINGER_TIMEOUT,
            timer: None,
            discarded: 0,
        }
    }

    /// Ready when the client has closed the connection, or a limit is reached.
    pub(super) fn poll(&mut self, stream: &mut (impl Read + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        let mut memory = [MaybeUninit::uninit(); BUFFER_BYTES];
        loop {
            let mut buffer = ReadBuf::uninit(&mut memory);
            match Pin::new(&mut *stream).poll_read(cx, buffer.unfilled()) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.discarded += buffer.filled().len();
                    self.timer = None;
                    if self.discarded > MAX_DISCARDED_BYTES || Instant::now() > self.end {
                        return Poll::Ready(());
                    }
                }
                // The end, or an error such as a reset: the client is gone.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let deadline = self.end.min(Instant::now() + MAX_PAUSE);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.poll_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioIo;
    use std::future::poll_fn;
    use std::io;
    use tokio::io::{AsyncRead, AsyncWriteExt};

    async fn linger(stream: impl AsyncRead + Unpin) -> usize {
        let mut stream = TokioIo::new(stream);
        let mut linger = Linger::start();
        poll_fn(|cx| linger.poll(&mut stream, cx)).await;
        linger.discarded
    }

    #[tokio::test(start_paused = true)]
    async fn ends_with_the_client() {
        let (mut client, server) = tokio::io::duplex(100);
        let sending = async move { client.write_all(&[7; 1000]).await };
        let (discarded, sent) = tokio::join!(linger(server), sending);
        sent.expect("a reader");
        assert_eq!(discarded, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn silent_client_is_cut_after_a_pause() {
        let (_client, server) = tokio::io::duplex(100);
        let start = Instant::now();
        assert_eq!(linger(server).await, 0);
        assert_eq!(start.elapsed().as_secs(), MAX_PAUSE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_client_is_cut_after_a_time() {
        let (mut client, server) = tokio::io::duplex(100);
        let start = Instant::now();
        let dripping = async move {
            while client.write_all(&[7]).await.is_ok() {
                tokio::time::sleep(MAX_PAUSE / 2).await;
            }
        };
        tokio::join!(linger(server), dripping);
        assert!((LINGER_TIMEOUT..LINGER_TIMEOUT + MAX_PAUSE).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_never_stops_is_cut_after_a_number_of_bytes() {
        struct Endless;
        impl AsyncRead for Endless {
            fn poll_read(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let filled = buffer.initialize_unfilled().len();
                buffer.advance(filled);
                Poll::Ready(Ok(()))
            }
        }
        let discarded = linger(Endless).await;
        assert!((MAX_DISCARDED_BYTES..=MAX_DISCARDED_BYTES + BUFFER_BYTES).contains(&discarded));
    }
}
