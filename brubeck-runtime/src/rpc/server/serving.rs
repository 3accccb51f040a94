//! A handler that runs for a caller.

use super::introspection::Counting;
use crate::handler::blocking::{Slot, in_slot};
use crate::handler::poll_inline;
use futures_util::FutureExt;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Span;

thread_local! {
    /// Whether a handler is being polled where its request was read.
    static INLINE: Cell<bool> = const { Cell::new(false) };
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
        if self.called.should_poll_inline() && !INLINE.get() {
            self.called.begins(now);
            if self.poll_once() {
                return None;
            }
        }
        Some(tokio::spawn(self).abort_handle())
    }

    /// Polls once. Whether that was the end.
    fn poll_once(&mut self) -> bool {
        INLINE.set(true);
        let polled = catch_unwind(AssertUnwindSafe(|| poll_inline(self)));
        INLINE.set(false);
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
        let response = ready!(in_slot(slot, || called.poll_unpin(cx)));
        if let Some(slot) = slot.take() {
            slot.answer(response);
        }
        Poll::Ready(())
    }
}
