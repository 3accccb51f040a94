//! Catches panics of handlers.

use crate::outcome::Outcome;
use crate::response::response_stream::panic_message;
use crate::response::{IntoReply, Response};
use crate::status::Status;
use crate::template::Templates;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Wraps the future of a handler: renders the template of its response, and turns a panic into a 500 response.
pub(crate) struct CatchPanic<F, T> {
    handler_name: &'static str,
    future: F,
    templates: T,
}

impl<F, T> CatchPanic<F, T> {
    pub(crate) fn new(handler_name: &'static str, future: F, templates: T) -> Self {
        CatchPanic {
            handler_name,
            future,
            templates,
        }
    }
}

impl<F, T> Future for CatchPanic<F, T>
where
    F: Future<Output = Response> + Unpin,
    T: Deref<Target = Templates> + Unpin,
{
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let CatchPanic {
            handler_name,
            future,
            templates,
        } = &mut *self;
        // Unwind safety: a panicked future is never polled again. State that it shares with other handlers is as after the
        // panic of a thread: a lock of std is poisoned, anything else may be in the middle of an update.
        let poll = AssertUnwindSafe(|| {
            Pin::new(future)
                .poll(cx)
                .map(|response| templates.render(response))
        });
        catch_unwind(poll).unwrap_or_else(|payload| {
            let panic = panic_message(&*payload);
            tracing::error!(handler = handler_name, panic, "handler panicked");
            Poll::Ready(
                Status::INTERNAL_SERVER_ERROR
                    .into_reply()
                    .with_outcome(Outcome::Panicked),
            )
        })
    }
}
