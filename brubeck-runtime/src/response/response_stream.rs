//! The stream of a response: what it has yielded is sent, even if it fails or panics afterwards.

use super::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Wraps the stream of a response.
///
/// A connection collects frames until the stream has none, and then writes them. If the stream fails, it drops those that are not
/// written. So this body reports a failure only when it is polled again, which is after the frames before were written. A panic is a failure.
pub(crate) struct ResponseStream {
    body: Body,
    failure: Option<BoxError>,
}

impl ResponseStream {
    pub(crate) fn new(body: Body) -> ResponseStream {
        ResponseStream { body, failure: None }
    }
}

impl http_body::Body for ResponseStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let ResponseStream { body, failure } = &mut *self;
        if let Some(failure) = failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        // Unwind safety: a stream that has panicked is dropped.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *body).poll_frame(cx)));
        let error = match polled {
            Ok(Poll::Ready(Some(Err(error)))) => error,
            Ok(polled) => return polled,
            Err(payload) => {
                let panic = panic_message(&*payload);
                tracing::error!(panic, "the stream of a response panicked");
                "the stream of the response panicked".into()
            }
        };
        *body = Body::empty();
        *failure = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.failure.is_some() {
            return SizeHint::default();
        }
        self.body.size_hint()
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let message = payload.downcast_ref::<&str>().copied();
    message
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::stream::{self, StreamExt};
    use http_body_util::BodyExt;

    async fn first_frame_and_failure(body: Body) -> (Bytes, String) {
        let mut stream = ResponseStream::new(body);
        let frame = stream.frame().await.unwrap().unwrap();
        // The connection writes the frame now, because there is no other one.
        assert!(stream.frame().now_or_never().is_none());
        assert!(!http_body::Body::is_end_stream(&stream));
        let error = stream.frame().await.unwrap().unwrap_err();
        assert!(stream.frame().await.is_none());
        (frame.into_data().unwrap(), error.to_string())
    }

    #[tokio::test]
    async fn failure_follows_after_the_frames_before_it_were_written() {
        let body = Body::from_stream(stream::iter([Ok("sent"), Err("the disk is full")]));
        let expected = (Bytes::from("sent"), "the disk is full".to_owned());
        assert_eq!(first_frame_and_failure(body).await, expected);
        let panics = stream::once(async { panic!("on purpose") });
        let body = Body::from_stream(stream::iter([Ok::<_, BoxError>("sent")]).chain(panics));
        let expected = (
            Bytes::from("sent"),
            "the stream of the response panicked".to_owned(),
        );
        assert_eq!(first_frame_and_failure(body).await, expected);
    }
}
