//! Catches panics of handlers, and reports handlers that a stopping application gives up.

use crate::outcome::Outcome;
use crate::response::response_stream::panic_message;
use crate::response::{IntoReply, Response};
use crate::status::Status;
use crate::template::Templates;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// The environment of all handlers of an application.
pub(crate) struct HandlerEnvironment {
    pub(crate) templates: Templates,
    /// Set when the application stops and no longer waits for its handlers.
    has_given_up: AtomicBool,
}

impl HandlerEnvironment {
    pub(crate) fn new(templates: Templates) -> HandlerEnvironment {
        HandlerEnvironment {
            templates,
            has_given_up: AtomicBool::new(false),
        }
    }

    /// Logs each handler that is dropped from now on before it has responded.
    pub(crate) fn give_up(&self) {
        self.has_given_up.store(true, Ordering::Relaxed);
    }
}

/// Wraps the future of a handler: renders the template of its response, and turns a panic into a 500 response.
pub(crate) struct CatchPanic<F, E: Deref<Target = HandlerEnvironment>> {
    handler_name: &'static str,
    future: F,
    environment: E,
    has_ended: bool,
}

impl<F, E: Deref<Target = HandlerEnvironment>> CatchPanic<F, E> {
    pub(crate) fn new(handler_name: &'static str, future: F, environment: E) -> Self {
        CatchPanic {
            handler_name,
            future,
            environment,
            has_ended: false,
        }
    }
}

impl<F, E: Deref<Target = HandlerEnvironment>> Drop for CatchPanic<F, E> {
    fn drop(&mut self) {
        if !self.has_ended && self.environment.has_given_up.load(Ordering::Relaxed) {
            tracing::warn!(
                handler = self.handler_name,
                "handler given up: it ran longer than the drain limit"
            );
        }
    }
}

impl<F, E> Future for CatchPanic<F, E>
where
    F: Future<Output = Response> + Unpin,
    E: Deref<Target = HandlerEnvironment> + Unpin,
{
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let CatchPanic {
            handler_name,
            future,
            environment,
            has_ended,
        } = &mut *self;
        // Unwind safety: a panicked future is never polled again. State that it shares with other handlers is as after the
        // panic of a thread: a lock of std is poisoned, anything else may be in the middle of an update.
        let poll = AssertUnwindSafe(|| {
            Pin::new(future)
                .poll(cx)
                .map(|response| environment.templates.render(response))
        });
        let poll = catch_unwind(poll).unwrap_or_else(|payload| {
            let panic = panic_message(&*payload);
            tracing::error!(handler = handler_name, panic, "handler panicked");
            Poll::Ready(
                Status::INTERNAL_SERVER_ERROR
                    .into_reply()
                    .with_outcome(Outcome::Panicked),
            )
        });
        *has_ended = poll.is_ready();
        poll
    }
}
