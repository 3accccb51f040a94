//! Catches the panic of a handler, and renders its template.

use crate::response::{IntoReply, Response};
use crate::status::Status;
use crate::template::Templates;
use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Wraps the future of a handler: renders its template and turns a panic into a 500 response.
pub(crate) struct CatchPanic<R, T> {
    handler: &'static str,
    run: R,
    templates: T,
}

impl<R, T> CatchPanic<R, T> {
    pub(crate) fn new(handler: &'static str, run: R, templates: T) -> Self {
        CatchPanic {
            handler,
            run,
            templates,
        }
    }
}

impl<R, T> Future for CatchPanic<R, T>
where
    R: Future<Output = Response> + Unpin,
    T: Deref<Target = Templates> + Unpin,
{
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let CatchPanic {
            handler,
            run,
            templates,
        } = &mut *self;
        // What a handler leaves behind when it panics is only seen by itself: its state is behind the locks of others,
        // which know poisoning.
        let poll = AssertUnwindSafe(|| Pin::new(run).poll(cx).map(|response| templates.render(response)));
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
