//! Messages that are no HTTP requests: calls that other applications send, messages of message sockets, and responses for
//! response handlers. Each has a route and a handler; the first two also have limits and an access log.

use super::inner::{ACCESS_LOG, AppInner};
use super::limits::{ResponseTimeout, acquire_permit};
use crate::handler::{CallFuture, CatchPanic};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::response::{IntoReply, Payload, Response};
use crate::routing::{Entry, Match};
use crate::rpc::api::{Handled, ResponseHandlers};
use crate::spec::Spec;
use crate::status::Status;
use crate::websocket::SocketSender;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<S: Send + Sync + 'static> AppInner<S> {
    /// Runs the handler of a message, within the limits of its route, and logs it. Also returns the route, if one matches.
    pub(super) fn handle_call(self: Arc<Self>, message: Message) -> (Option<&'static Spec>, CallFuture) {
        let access_log = AccessLogEntry::begin(&message);
        let route = self.router.find(message.kind(), message.method(), message.path());
        let (entry, captures) = match route {
            Match::Found { entry, captures, .. } => (entry, captures),
            Match::MethodNotAllowed { .. } => return error_response(access_log, Status::METHOD_NOT_ALLOWED),
            Match::NotFound => return error_response(access_log, Status::NOT_FOUND),
        };
        let limits = self.limits.of(entry.spec);
        // The default timeout does not apply to calls: in brubeck's protocol a call has the deadline of its caller. A call in a
        // Python dialect has none, so its handler runs until it returns, the caller disconnects, or the timeout of the route
        // expires. Messages of message sockets have no deadline either, and no caller that waits, so the default applies.
        let is_socket_message = message.extension::<SocketSender>().is_some();
        let timeout = if is_socket_message {
            self.timeout_for(limits)
        } else {
            limits.and_then(|limits| limits.timeout).flatten()
        };
        let future = (entry.handle)(self.context(message, captures));
        let handler = CatchPanic::new(entry.spec.name, future, self.templates.clone());
        let call = if limits.is_none() && timeout.is_none() && access_log.is_none() {
            CallFuture(Either::Left(handler))
        } else {
            // Boxed, so that calls without limits and log do not pay for the size of this future.
            let limited = self.run_with_limits(entry, handler, timeout, access_log);
            CallFuture(Either::Right(limited.boxed()))
        };
        (Some(entry.spec), call)
    }

    async fn run_with_limits(
        self: Arc<Self>,
        entry: &'static Entry<S>,
        handler: impl Future<Output = Response> + Unpin,
        timeout: Option<Duration>,
        access_log: Option<AccessLogEntry>,
    ) -> Response {
        let response = match acquire_permit(self.limits.of(entry.spec)) {
            Ok(_permit) => {
                ResponseTimeout::from_first_wait(timeout)
                    .run(entry.spec.name, handler)
                    .await
            }
            Err(unavailable) => unavailable,
        };
        if let Some(access_log) = access_log {
            access_log.write(&response);
        }
        response
    }
}

impl<S: Send + Sync + 'static> ResponseHandlers for AppInner<S> {
    fn handles(&self, path: &str) -> bool {
        matches!(
            self.router.find(Kind::Response, Method::Response, path),
            Match::Found { .. }
        )
    }

    fn respond(self: Arc<Self>, response: Message) -> BoxFuture<'static, Option<Handled>> {
        Box::pin(async move {
            let path = response.path().to_owned();
            let Match::Found { entry, captures, .. } =
                self.router.find(Kind::Response, Method::Response, &path)
            else {
                return None;
            };
            let mut future = (entry.handle)(self.context(response, captures));
            let (status, _, payload) = self.catch_panic(entry, &mut future).await.into_parts();
            match payload {
                Payload::HandlerValue(value) => Some(value),
                _ => {
                    let handler = entry.spec.name;
                    tracing::warn!(handler, path, %status, "response handler rejected a response or panicked");
                    None
                }
            }
        })
    }
}

/// A line of the access log, to be completed with the response.
struct AccessLogEntry {
    received: Instant,
    method: Method,
    path: String,
}

impl AccessLogEntry {
    /// Returns `None` if the access log is disabled: then there is no clock read and no copy of the path.
    fn begin(message: &Message) -> Option<AccessLogEntry> {
        tracing::enabled!(target: ACCESS_LOG, tracing::Level::INFO).then(|| AccessLogEntry {
            received: Instant::now(),
            method: message.method(),
            path: message.path().to_owned(),
        })
    }

    fn write(self, response: &Response) {
        tracing::info!(
            target: ACCESS_LOG,
            method = %self.method,
            path = self.path,
            status = response.status().code(),
            elapsed = ?self.received.elapsed(),
            "call completed"
        );
    }
}

fn error_response(access_log: Option<AccessLogEntry>, status: Status) -> (Option<&'static Spec>, CallFuture) {
    let response = status.into_reply();
    if let Some(access_log) = access_log {
        access_log.write(&response);
    }
    (None, CallFuture(Either::Right(ready(response).boxed())))
}
