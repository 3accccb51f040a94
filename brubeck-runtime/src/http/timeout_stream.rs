//! A stream that fails if its client keeps the server waiting for too long, and that closes without losing the response.
//!
//! Hyper's timeout for a request head also runs while an HTTP/1 connection is idle, so the two cannot be set separately, and it has no
//! timeout for writing. [`TimeoutStream`] has separate timeouts for heads, idle connections and writes. It sees reads and writes but not
//! HTTP, so [`ConnectionService`](super::service::ConnectionService) reports with [`InFlight`] when requests begin and end.

use super::Http;
use super::linger::Linger;
use crate::handler::Stop;
use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Vectored writes of up to this size, in bytes, are copied into one buffer: cheaper than a `writev` of small slices.
const MAX_JOINED_BYTES: usize = 1 << 10;

/// In [`SharedCounts::requests`], the unit of the number of begun requests. The bits below it count the requests in flight.
const ONE_BEGUN: u64 = 1 << 32;

/// The requests of one connection that are in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<SharedCounts>);

#[derive(Debug, Default)]
struct SharedCounts {
    /// Two counters in one atomic: the requests in flight, and in units of [`ONE_BEGUN`] the requests that have begun.
    requests: AtomicU64,
    is_http2: AtomicBool,
    /// A response is sent, or will be, before its request has been read to its end. The connection closes after it.
    is_body_unread: AtomicBool,
    /// The server stops: the next response is the last one of the connection.
    is_closing: AtomicBool,
    /// The task of an HTTP/2 connection. It must check its timeouts again when a request ends in another task. With HTTP/1 the
    /// connection sends all responses itself and needs no wakeup.
    connection: AtomicWaker,
}

/// Keeps one request in flight until it is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard(InFlight);

impl InFlight {
    /// Counts a request as in flight.
    pub(super) fn begin(&self, is_http2: bool) -> InFlightGuard {
        self.0.requests.fetch_add(ONE_BEGUN + 1, Ordering::Relaxed);
        self.0.is_http2.store(is_http2, Ordering::Relaxed);
        InFlightGuard(self.clone())
    }

    /// Makes the next response the last one of the connection.
    pub(super) fn close_after_next_response(&self) {
        self.0.is_closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_http2(&self) -> bool {
        self.0.is_http2.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.0.requests.load(Ordering::Relaxed).is_multiple_of(ONE_BEGUN)
    }

    /// Returns the number of requests that have begun. It wraps around, so compare it for equality only.
    fn begun(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed) / ONE_BEGUN
    }

    /// Returns the phase after a read that was not pending.
    fn phase_after_read(&self) -> ReadPhase {
        if !self.is_empty() {
            ReadPhase::InFlight
        } else if self.0.is_http2.load(Ordering::Relaxed) {
            // The data may be a control frame, which starts no request.
            ReadPhase::Idle
        } else {
            ReadPhase::Head
        }
    }
}

impl InFlightGuard {
    /// Returns `true` if this response is the last one of the connection.
    pub(super) fn is_last(&self) -> bool {
        self.0.0.is_closing.load(Ordering::Relaxed)
    }

    /// Reports that the connection closes before the request body has been read to its end. The client may still be sending it.
    pub(super) fn leave_body_unread(&self) {
        self.0.0.is_body_unread.store(true, Ordering::Relaxed);
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let counts = &self.0.0;
        counts.requests.fetch_sub(1, Ordering::Relaxed);
        if counts.is_http2.load(Ordering::Relaxed) {
            counts.connection.wake();
        }
    }
}

/// Wraps a stream with the timeouts of these settings.
pub(super) fn wrap<I>(stream: I, settings: &Http, stop: Stop) -> (TimeoutStream<TokioIo<I>>, InFlight) {
    let in_flight = InFlight::default();
    let stream = TimeoutStream {
        stream: TokioIo::new(stream),
        in_flight: in_flight.clone(),
        header_timeout: settings.header_timeout,
        idle_timeout: settings.idle_timeout,
        write_timeout: settings.write_timeout,
        phase: ReadPhase::Idle,
        begun_at_last_check: 0,
        read_timer: LazyTimer::default(),
        write_timer: LazyTimer::default(),
        join_buffer: Vec::new(),
        stop,
        linger: None,
    };
    (stream, in_flight)
}

/// A stream that fails with [`io::ErrorKind::TimedOut`] if a write makes no progress for too long, or if no request begins in time
/// while none is in flight. Data that does not begin a request, such as part of a head or an HTTP/2 control frame, does not extend a
/// running timeout.
pub(super) struct TimeoutStream<I> {
    stream: I,
    in_flight: InFlight,
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    phase: ReadPhase,
    /// [`InFlight::begun`] when the read timeout was last checked.
    begun_at_last_check: u64,
    read_timer: LazyTimer,
    write_timer: LazyTimer,
    join_buffer: Vec<u8>,
    stop: Stop,
    /// `Some` once the sending side is shut down and the client may still be sending.
    linger: Option<Linger>,
}

/// The state of the requests of a connection, which selects its read timeout.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadPhase {
    /// The connection waits for the next request: the idle timeout applies.
    Idle,
    /// The connection waits for the rest of a request head: the header timeout applies. With HTTP/2 only for the first request.
    Head,
    /// A request is in flight: no timeout here. The request body and writing the response have timeouts of their own.
    InFlight,
}

/// A timer that is cheap to start and stop with every request.
///
/// Creating or dropping a [`Sleep`], or resetting it to an earlier time, takes a lock in tokio's timer wheel. Stopping and starting
/// therefore keep the `Sleep` and only change `deadline`. If the sleep fires before the deadline, it is reset to the deadline.
#[derive(Default)]
struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// `None` while the timer is stopped.
    deadline: Option<Instant>,
    /// The waker that is registered with `sleep`.
    registered: Option<Waker>,
}

impl LazyTimer {
    fn stop(&mut self) {
        self.deadline = None;
    }

    /// Starts the timer unless it is running. Ready when the timeout has passed since the start.
    fn poll_elapsed(&mut self, timeout: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + timeout);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
            self.registered = None;
        }
        let is_registered = self
            .registered
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        if !sleep.is_elapsed() && is_registered {
            return Poll::Pending;
        }
        self.registered = Some(cx.waker().clone());
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<I> TimeoutStream<I> {
    fn enter(&mut self, phase: ReadPhase) {
        if self.phase != phase {
            self.phase = phase;
            self.read_timer.stop();
        }
    }

    /// Checks the read timeout. Ready with an error if it has passed.
    fn poll_read_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let counts = &self.in_flight.0;
        if counts.is_http2.load(Ordering::Relaxed) {
            // Register before reading the counters, so that no request can end in between without a wakeup.
            counts.connection.register(cx.waker());
        }
        // A request may have begun and ended since the last check, without ever being seen in flight.
        let begun = self.in_flight.begun();
        let had_request = std::mem::replace(&mut self.begun_at_last_check, begun) != begun;
        match (self.in_flight.is_empty(), self.phase) {
            (false, _) => self.enter(ReadPhase::InFlight),
            (true, ReadPhase::InFlight) => self.enter(ReadPhase::Idle),
            (true, ReadPhase::Head) if had_request => self.enter(ReadPhase::Idle),
            (true, _) => {}
        }
        let timeout = match self.phase {
            ReadPhase::InFlight => return Poll::Pending,
            ReadPhase::Idle => self.idle_timeout,
            ReadPhase::Head => self.header_timeout,
        };
        ready!(self.read_timer.poll_elapsed(timeout, cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client sent no complete request in time",
        )))
    }

    /// Returns `true` if the connection is shut down in the middle of a request: its body is unread, or hyper has refused its head.
    fn may_client_send(&self) -> bool {
        let is_body_unread = self.in_flight.0.is_body_unread.load(Ordering::Relaxed);
        is_body_unread || (self.phase == ReadPhase::Head && !self.stop.may_be_requested())
    }

    /// Checks the write timeout. Ready with an error if it has passed.
    fn poll_write_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.write_timer.poll_elapsed(self.write_timeout, cx));
        Poll::Ready(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read the response",
        ))
    }
}

impl<I: Read + Unpin> Read for TimeoutStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                let phase = self.in_flight.phase_after_read();
                self.enter(phase);
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_read_timeout(cx),
        }
    }
}

impl<I: Read + Write + Unpin> Write for TimeoutStream<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => self.poll_write_timeout(cx).map(Err),
            written => {
                self.write_timer.stop();
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.poll_write_timeout(cx).map(Err),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                self.write_timer.stop();
                // This may have been the end of a response, which starts the idle timeout. Hyper does not poll the read side
                // again before data arrives, so check it here.
                match self.poll_read_timeout(cx) {
                    Poll::Pending => Poll::Ready(Ok(())),
                    timed_out => timed_out,
                }
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let TimeoutStream { stream, linger, .. } = &mut *self;
        if let Some(linger) = linger {
            return linger.poll(stream, cx).map(Ok);
        }
        match Pin::new(stream).poll_shutdown(cx) {
            Poll::Pending => self.poll_write_timeout(cx).map(Err),
            Poll::Ready(Ok(())) if self.may_client_send() => {
                self.linger = Some(Linger::start());
                self.poll_shutdown(cx)
            }
            result => result,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let TimeoutStream {
            stream, join_buffer, ..
        } = &mut *self;
        let total: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let result = if total <= MAX_JOINED_BYTES {
            join_buffer.clear();
            buffers
                .iter()
                .for_each(|buffer| join_buffer.extend_from_slice(buffer));
            Pin::new(stream).poll_write(cx, join_buffer)
        } else {
            Pin::new(stream).poll_write_vectored(cx, buffers)
        };
        match result {
            Poll::Pending => self.poll_write_timeout(cx).map(Err),
            written => {
                self.write_timer.stop();
                written
            }
        }
    }
}
