//! A connection that is closed when its peer keeps it waiting.

use super::Http;
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

/// An answer up to this size, in bytes, is joined before it is written: that costs less than to tell the system of pieces.
const SMALL: usize = 1 << 10;

/// One more request that has begun; fewer are open at once.
const BEGUN: u64 = 1 << 32;

/// What of a connection is being answered.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<InFlightCount>);

#[derive(Debug, Default)]
struct InFlightCount {
    /// How many are open, and in units of [`BEGUN`] how many have begun.
    count: AtomicU64,
    multiplexed: AtomicBool,
    /// The connection, which looks again once an answer is out; with HTTP/1 it looks by itself, since all answers are its own.
    connection: AtomicWaker,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard(InFlight);

impl InFlight {
    /// `multiplexed`: the connection speaks HTTP/2, where what comes need not be a request.
    pub(super) fn begin(&self, multiplexed: bool) -> InFlightGuard {
        self.0.count.fetch_add(BEGUN + 1, Ordering::Relaxed);
        self.0.multiplexed.store(multiplexed, Ordering::Relaxed);
        InFlightGuard(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) & (BEGUN - 1) > 0
    }

    /// How many requests have begun, which starts anew after very many.
    fn begun(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed) / BEGUN
    }

    /// What is waited for once something came.
    fn next(&self) -> ReadPhase {
        match (self.is_busy(), self.0.multiplexed.load(Ordering::Relaxed)) {
            (true, _) => ReadPhase::InFlightGuard,
            (false, true) => ReadPhase::Idle,
            (false, false) => ReadPhase::Head,
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.count.fetch_sub(1, Ordering::Relaxed);
        if self.0.0.multiplexed.load(Ordering::Relaxed) {
            self.0.0.connection.wake();
        }
    }
}

/// Watches a stream with these limits.
pub(super) fn wrap<I>(stream: I, settings: &Http) -> (TimeoutStream<TokioIo<I>>, InFlight) {
    let progress = InFlight::default();
    let watched = TimeoutStream {
        stream: TokioIo::new(stream),
        progress: progress.clone(),
        head: settings.header_timeout,
        idle: settings.idle_timeout,
        write: settings.write_timeout,
        reading: ReadPhase::Idle,
        begun: 0,
        read_timer: Timer::default(),
        write_timer: Timer::default(),
        joined: Vec::new(),
    };
    (watched, progress)
}

pub(super) struct TimeoutStream<I> {
    stream: I,
    progress: InFlight,
    head: Duration,
    idle: Duration,
    write: Duration,
    reading: ReadPhase,
    /// How many requests had begun when it last waited.
    begun: u64,
    read_timer: Timer,
    write_timer: Timer,
    /// Where the pieces of a small answer are joined.
    joined: Vec<u8>,
}

/// What the server waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadPhase {
    /// The next request.
    Idle,
    /// The rest of its head.
    Head,
    /// Its own answer; the body of the request has a limit of its own.
    InFlightGuard,
}

/// One clock for all waits of a connection: stopped and started with every request, it is set anew only when it rings
/// too early.
#[derive(Default)]
struct Timer {
    clock: Option<Pin<Box<Sleep>>>,
    until: Option<Instant>,
    /// Who is woken when the clock rings; it need not be told again with each wait.
    told: Option<Waker>,
}

impl Timer {
    fn stop(&mut self) {
        self.until = None;
    }

    /// Starts unless it runs already; ready when the time is over.
    fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + limit);
        let clock = self
            .clock
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if clock.deadline() > until {
            clock.as_mut().reset(until);
            self.told = None;
        }
        if !clock.is_elapsed() && self.told.as_ref().is_some_and(|told| told.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.told = Some(cx.waker().clone());
        while clock.as_mut().poll(cx).is_ready() {
            if clock.deadline() >= until {
                return Poll::Ready(());
            }
            clock.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl<I> TimeoutStream<I> {
    fn enter(&mut self, phase: ReadPhase) {
        if self.reading != phase {
            self.reading = phase;
            self.read_timer.stop();
        }
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.0.multiplexed.load(Ordering::Relaxed) {
            // Before the look, so that an answer that goes out meanwhile is not missed.
            self.progress.0.connection.register(cx.waker());
        }
        // A request may have begun and ended since the last look.
        let begun = self.progress.begun();
        let answered = std::mem::replace(&mut self.begun, begun) != begun;
        match (self.progress.is_busy(), self.reading) {
            (true, _) => self.enter(ReadPhase::InFlightGuard),
            (false, ReadPhase::InFlightGuard) => self.enter(ReadPhase::Idle),
            (false, ReadPhase::Head) if answered => self.enter(ReadPhase::Idle),
            (false, _) => {}
        }
        let limit = match self.reading {
            ReadPhase::InFlightGuard => return Poll::Pending,
            ReadPhase::Idle => self.idle,
            ReadPhase::Head => self.head,
        };
        ready!(self.read_timer.poll(limit, cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no request came in time",
        )))
    }

    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.write_timer.poll(self.write, cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing"))
    }
}

impl<I: Read + Unpin> Read for TimeoutStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                // Something came: a request begins, or goes on.
                let next = self.progress.next();
                self.enter(next);
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_patience(cx),
        }
    }
}

impl<I: Write + Unpin> Write for TimeoutStream<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => self.poll_taken(cx).map(Err),
            written => {
                self.write_timer.stop();
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.poll_taken(cx).map(Err),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                self.write_timer.stop();
                // An answer may be out, and nothing is read until more has come.
                match self.poll_patience(cx) {
                    Poll::Pending => Poll::Ready(Ok(())),
                    lost => lost,
                }
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.poll_taken(cx).map(Err),
            closed => closed,
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
        let TimeoutStream { stream, joined, .. } = &mut *self;
        let written = match buffers.iter().map(|buffer| buffer.len()).sum::<usize>() {
            ..=SMALL => {
                joined.clear();
                buffers.iter().for_each(|buffer| joined.extend_from_slice(buffer));
                Pin::new(stream).poll_write(cx, joined)
            }
            _ => Pin::new(stream).poll_write_vectored(cx, buffers),
        };
        match written {
            Poll::Pending => self.poll_taken(cx).map(Err),
            written => {
                self.write_timer.stop();
                written
            }
        }
    }
}
