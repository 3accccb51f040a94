//! The hyper service of one connection: from a request of hyper to the application and back.

use super::HttpServer;
use super::timeout_stream::{InFlight, InFlightGuard};
use super::upgrade::{self, PendingUpgrade};
use crate::handler::{DispatchMode, HttpResponseFuture, validate_request};
use crate::peer::WebClient;
use crate::response::http_response::error_response;
use crate::response::{Body, BodyError, BoxError, FrameTap, TappedBody};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Serves the requests of one connection.
pub(super) struct ConnectionService {
    pub(super) server: Arc<HttpServer>,
    pub(super) client: WebClient,
    pub(super) in_flight: InFlight,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, mut request: Request<Incoming>) -> ResponseFuture {
        let is_http1 = request.version() < Version::HTTP_2;
        let guard = self.in_flight.begin(!is_http1);
        if let Err((code, reason)) = validate_request(&request) {
            let mut response = error_response(code, reason);
            if is_http1 {
                close_connection(&mut response);
                if !request.body().is_end_stream() {
                    guard.leave_body_unread();
                }
            }
            return ResponseFuture::immediate(response, guard, is_http1);
        }
        let application = &self.server.application;
        let upgrade = match upgrade::parse(&mut request, application.message_limit()) {
            Ok(upgrade) => upgrade.map(|pending| {
                let stream = hyper::upgrade::on(&mut request);
                let server = self.server.clone();
                Box::new(RequestedUpgrade {
                    pending,
                    stream,
                    server,
                })
            }),
            Err(error) => {
                return ResponseFuture::immediate(upgrade::error_to_response(error), guard, is_http1);
            }
        };
        let timeout = self.server.settings.body_timeout;
        let body_read = (!request.body().is_end_stream()).then(|| Arc::new(AtomicBool::new(false)));
        let request = request.map(|body| match &body_read {
            None => Body::empty(),
            Some(body_read) => Body::new(TappedBody {
                body,
                tap: BodyTimeout {
                    body_read: body_read.clone(),
                    timeout,
                    timer: None,
                },
            }),
        });
        // An HTTP/1 connection does nothing else until it has the response. An HTTP/2 connection serves many requests in
        // one task, so a handler must not hold the task up.
        let mode = if is_http1 {
            DispatchMode::Inline
        } else {
            DispatchMode::Deferred
        };
        ResponseFuture {
            response: application.serve_peer(request, self.client, mode),
            guard: Some(guard),
            upgrade,
            body_read: body_read.filter(|_| is_http1),
            is_http1,
        }
    }
}

fn close_connection(response: &mut Response<Body>) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

/// The response to one request.
pub(super) struct ResponseFuture {
    response: HttpResponseFuture,
    guard: Option<InFlightGuard>,
    /// The WebSocket to open if the handler accepts it, for requests that ask for one.
    upgrade: Option<Box<RequestedUpgrade>>,
    /// Becomes `true` when the request body has been read to its end. Only for HTTP/1 requests with a body: there the next
    /// request follows the body on the same connection.
    body_read: Option<Arc<AtomicBool>>,
    is_http1: bool,
}

/// The WebSocket that a request asks for, and the stream of its connection, which hyper hands out after the response.
struct RequestedUpgrade {
    pending: PendingUpgrade,
    stream: OnUpgrade,
    server: Arc<HttpServer>,
}

impl ResponseFuture {
    fn immediate(response: Response<Body>, guard: InFlightGuard, is_http1: bool) -> ResponseFuture {
        ResponseFuture {
            response: Either::Left(ready(response)),
            guard: Some(guard),
            upgrade: None,
            body_read: None,
            is_http1,
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<TrackedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.response.poll_unpin(cx));
        let (mut response, guard) = match (self.upgrade.take(), self.guard.take()) {
            (Some(upgrade), Some(guard)) => {
                let RequestedUpgrade {
                    pending,
                    stream,
                    server,
                } = *upgrade;
                pending.complete(stream, response, guard, server)
            }
            (_, guard) => (response, guard),
        };
        let is_unread = self
            .body_read
            .as_ref()
            .is_some_and(|body_read| !body_read.load(Ordering::Relaxed));
        if self.is_http1 && response.status() == StatusCode::UPGRADE_REQUIRED {
            // `upgrade` is a header of this connection (RFC 9110, section 7.8).
            response
                .headers_mut()
                .append(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if self.is_http1 && guard.as_ref().is_some_and(InFlightGuard::is_last) {
            close_connection(&mut response);
        }
        // If a WebSocket has taken the guard, it has taken the connection, too.
        if let Some(guard) = guard.as_ref().filter(|_| is_unread) {
            // Otherwise hyper would read and discard the rest of the body before the next request.
            close_connection(&mut response);
            guard.leave_body_unread();
        }
        Poll::Ready(Ok(response.map(|body| TrackedBody {
            tap: ReleaseWhenSent {
                guard: guard.filter(|_| !body.is_end_stream()),
            },
            body,
        })))
    }
}

/// A response body that keeps its request in flight until its last frame.
pub(super) type TrackedBody = TappedBody<Body, ReleaseWhenSent>;

/// Releases the guard of a request when hyper has taken all frames of the response, or drops the body.
pub(super) struct ReleaseWhenSent {
    guard: Option<InFlightGuard>,
}

impl FrameTap<BoxError> for ReleaseWhenSent {
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, BoxError>>>,
        _: bool,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(None) = polled {
            self.guard = None;
        }
        polled
    }
}

/// Ends a request body with an error if its reader waits for longer than the timeout. Also records that the body has ended.
struct BodyTimeout {
    body_read: Arc<AtomicBool>,
    timeout: Duration,
    /// Runs while the body is pending. Bodies that arrive without a pause never allocate it.
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
                    self.body_read.store(true, Ordering::Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.into()).into())))
            }
            Poll::Pending => {
                let deadline = Instant::now() + self.timeout;
                let timer = self
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                timer
                    .as_mut()
                    .poll(cx)
                    .map(|()| Some(Err(BodyError::TimedOut.into())))
            }
        }
    }
}
