//! A handler that runs for a caller.

use super::introspection::Counting;
use crate::handler::blocking::{Slot, in_slot};
use crate::rpc::convert;
use crate::status::Status;
use futures_util::FutureExt;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Span;

thread_local! {
    /// Whether a handler is being polled where its request was read.
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

/// A handler with its slot, which gets its answer.
pub(super) struct Serving {
    /// Not here while a thread has it, and after the end.
    slot: Option<Slot>,
    called: Counting,
    /// Where somebody listens.
    span: Option<Box<Span>>,
}

impl Serving {
    pub(super) fn new(slot: Slot, called: Counting, span: Span) -> Serving {
        Serving {
            slot: Some(slot),
            called,
            span: (!span.is_disabled()).then(|| Box::new(span)),
        }
    }

    /// Begins at once, at this time, where the handler has been quick of late; what does not end then, or was not, gets a
    /// task.
    pub(super) fn begin(mut self, now: Instant) -> Option<AbortHandle> {
        if self.called.is_quick() && !AT_ONCE.get() {
            self.called.begins(now);
            if self.poll_at_once() {
                return None;
            }
        }
        Some(tokio::spawn(self).abort_handle())
    }

    /// Polls once. Whether that was the end.
    fn poll_at_once(&mut self) -> bool {
        AT_ONCE.set(true);
        // What is not ready is polled again, by its task, before anything can wake it.
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_unpin(&mut context)));
        AT_ONCE.set(false);
        match polled {
            Ok(polled) => polled.is_ready(),
            Err(_) => {
                tracing::error!("what is around a handler panicked");
                true
            }
        }
    }
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Serving { slot, called, span } = &mut *self;
        let _within = span.as_ref().map(|span| span.enter());
        let reply = convert::reply(ready!(in_slot(slot, || called.poll_unpin(cx))));
        if let Some(slot) = slot.take() {
            slot.answer(match reply.check() {
                Ok(()) => reply,
                Err(error) => {
                    tracing::error!(%error, "an answer could not be written");
                    convert::failure(Status::INTERNAL_SERVER_ERROR)
                }
            });
        }
        Poll::Ready(())
    }
}
