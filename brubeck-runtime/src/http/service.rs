//! One request of a connection, and its response.

use super::HttpServer;
use super::timeout_stream::{InFlight, InFlightGuard};
use super::upgrade::{self, PendingUpgrade};
use crate::handler::{DispatchMode, HttpResponseFuture, validate_request};
use crate::message::RemoteAddr;
use crate::response::http_response::error_response;
use crate::response::{Body, BodyError, BoxError, FrameTap, TappedBody};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The requests of one connection.
pub(super) struct ConnectionService {
    pub(super) server: Arc<HttpServer>,
    pub(super) address: Option<IpAddr>,
    pub(super) progress: InFlight,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, mut request: Request<Incoming>) -> ResponseFuture {
        let http1 = request.version() < Version::HTTP_2;
        let busy = self.progress.begin(!http1);
        if let Err((code, reason)) = validate_request(&request) {
            let mut refused = error_response(code, reason);
            refused
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            return ResponseFuture::with(Either::Left(ready(refused)), busy);
        }
        let opening = match upgrade::asked(&mut request, self.server.application.body_limit()) {
            Ok(opening) => opening.map(|opening| Box::new((opening, self.server.clone()))),
            Err(refusal) => {
                return ResponseFuture::with(Either::Left(ready(upgrade::refused(refusal))), busy);
            }
        };
        let timeout = self.server.settings.body_timeout;
        let read = (!request.body().is_end_stream()).then(|| Arc::new(AtomicBool::new(false)));
        let request = request.map(|body| match &read {
            None => Body::empty(),
            Some(read) => Body::new(TappedBody {
                body,
                tap: BodyTimeout {
                    all: read.clone(),
                    timeout,
                    timer: None,
                },
            }),
        });
        let application = &self.server.application;
        // The requests of one HTTP/2 connection are many, and its task is one.
        let at_once = if http1 {
            DispatchMode::Inline
        } else {
            DispatchMode::Deferred
        };
        ResponseFuture {
            answer: application.serve_peer(request, self.address.map(RemoteAddr), at_once),
            busy: Some(busy),
            opening,
            read: read.filter(|_| http1),
        }
    }
}

/// The answer to one request, as it comes.
pub(super) struct ResponseFuture {
    answer: HttpResponseFuture,
    busy: Option<InFlightGuard>,
    /// Where the request asked for a WebSocket.
    opening: Option<Box<(PendingUpgrade, Arc<HttpServer>)>>,
    /// Whether the body of the request was read, where there is one and the next request comes behind it.
    read: Option<Arc<AtomicBool>>,
}

impl ResponseFuture {
    fn with(answer: HttpResponseFuture, busy: InFlightGuard) -> ResponseFuture {
        ResponseFuture {
            answer,
            busy: Some(busy),
            opening: None,
            read: None,
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<TrackedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.answer.poll_unpin(cx));
        let (mut response, busy) = match (self.opening.take(), self.busy.take()) {
            (Some(asked), Some(busy)) => {
                let (opening, server) = *asked;
                opening.open(response, busy, server)
            }
            (_, busy) => (response, busy),
        };
        // One that is a WebSocket now says itself when it has ended, and has no busy any more.
        let unread = self
            .read
            .as_ref()
            .is_some_and(|read| !read.load(Ordering::Relaxed));
        if unread && busy.is_some() {
            // What is left of the request is not worth reading.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response.map(|body| TrackedBody {
            tap: InFlightTap {
                busy: busy.filter(|_| !body.is_end_stream()),
            },
            body,
        })))
    }
}

/// The body of a response; when it has been sent, its request is answered.
pub(super) type TrackedBody = TappedBody<Body, InFlightTap>;

/// Holds a request busy until the last frame of its response is sent.
pub(super) struct InFlightTap {
    busy: Option<InFlightGuard>,
}

impl FrameTap<BoxError> for InFlightTap {
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, BoxError>>>,
        _: bool,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(None) = polled {
            self.busy = None;
        }
        polled
    }
}

/// Ends the body of a request that pauses for longer than the timeout, and notes when all of it was read.
struct BodyTimeout {
    all: Arc<AtomicBool>,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl FrameTap<hyper::Error> for BodyTimeout {
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, hyper::Error>>>,
        ended: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match polled {
            Poll::Ready(frame) => {
                self.timer = None;
                if frame.is_none() || ended {
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
}
