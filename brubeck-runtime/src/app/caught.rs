//! A handler that runs.

use super::assembled::Assembled;
use crate::reply::{IntoReply, Response};
use crate::route::{BoxFuture, Entry};
use crate::status::Status;
use crate::template::Templates;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a handler runs as: its page is rendered, and its panic is an answer too.
pub(super) struct Caught<'a, 'b> {
    handler: &'static str,
    run: &'b mut BoxFuture,
    templates: &'a Templates,
}

impl<S> Assembled<S> {
    pub(super) fn catching<'a, 'b>(&'a self, entry: &Entry<S>, run: &'b mut BoxFuture) -> Caught<'a, 'b> {
        Caught {
            handler: entry.spec.name,
            run,
            templates: &self.templates,
        }
    }
}

impl Future for Caught<'_, '_> {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let Caught {
            handler,
            run,
            templates,
        } = &mut *self;
        // What a handler leaves behind when it panics is only seen by itself: its state is behind the locks of others,
        // which know poisoning.
        let poll = AssertUnwindSafe(|| run.as_mut().poll(cx).map(|response| templates.render(response)));
        catch_unwind(poll).unwrap_or_else(|panic| {
            let panic = panic_text(&*panic);
            tracing::error!(handler, panic, "a handler panicked");
            Poll::Ready(Status::INTERNAL_SERVER_ERROR.into_reply())
        })
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
