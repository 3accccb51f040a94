//! One request of a connection, and its response.

use super::Server;
use super::hygiene::unhygienic;
use super::stream::Progress;
use super::upgrade;
use crate::connect::web::refusal;
use crate::message::RemoteAddr;
use crate::reply::{Body, BodyError, BoxError};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The requests of one connection.
pub(super) struct Requests {
    pub(super) server: Arc<Server>,
    pub(super) address: Option<IpAddr>,
    pub(super) progress: Progress,
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let http1 = request.version() < Version::HTTP_2;
        let busy = self.progress.begin(!http1);
        if let Some((code, reason)) = unhygienic(&request) {
            let mut refused = refusal(code, reason);
            refused
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            return Box::pin(async move { Ok(refused.map(|body| ending(body, busy))) });
        }
        let opening = match upgrade::asked(&mut request, self.server.application.body_limit()) {
            Ok(opening) => opening,
            Err(refusal) => {
                let refused = upgrade::refused(refusal);
                return Box::pin(async move { Ok(refused.map(|body| ending(body, busy))) });
            }
        };
        if let Some(address) = self.address {
            request.extensions_mut().insert(RemoteAddr(address));
        }
        let read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let (timeout, all) = (self.server.settings.body_timeout, read.clone());
        let request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(Arriving {
                body,
                all,
                timeout,
                timer: None,
            }),
        });
        let answer = self.server.application.clone().serve(request);
        let server = self.server.clone();
        Box::pin(answer.map(move |response| {
            let (mut response, busy) = match opening {
                Some(opening) => opening.open(response, busy, server),
                None => (response, Some(busy)),
            };
            // One that is a WebSocket now says itself when it has ended.
            let Some(busy) = busy else { return Ok(response) };
            if http1 && !read.load(Ordering::Relaxed) {
                // What is left of the request is not worth reading.
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| ending(body, busy)))
        }))
    }
}

/// A body that frees something when it has been sent.
fn ending<T: Send + Unpin + 'static>(body: Body, guard: T) -> Body {
    match body.is_end_stream() {
        true => body,
        false => Body::new(Sent {
            body,
            guard: Some(guard),
        }),
    }
}

struct Sent<T> {
    body: Body,
    guard: Option<T>,
}

impl<T: Send + Unpin> http_body::Body for Sent<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = polled {
            self.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, which may pause for so long and no longer.
struct Arriving {
    body: Incoming,
    all: Arc<AtomicBool>,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.timer = None;
                if frame.is_none() || self.body.is_end_stream() {
                    self.all.store(true, Ordering::Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.into()).into())))
            }
            Poll::Pending => {
                let until = Instant::now() + self.timeout;
                let timer = self
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                timer
                    .as_mut()
                    .poll(cx)
                    .map(|()| Some(Err(BodyError::TimedOut.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
