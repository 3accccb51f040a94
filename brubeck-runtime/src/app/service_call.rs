//! Messages that are no HTTP requests: calls that other applications send, messages of message sockets, and responses for
//! response handlers. Each has a route and a handler; the first two also have limits and an access log.

use super::inner::{ACCESS_LOG, AppInner};
use super::limits::{ResponseTimeout, acquire_permit};
use crate::handler::{CallFuture, CatchPanic};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::outcome::Outcome;
use crate::peer::CalledOperation;
use crate::response::{IntoReply, Payload, Response};
use crate::routing::{Match, MatchedRoute, routed_text};
use crate::rpc::api::{CallTarget, DetachedCalls, Handled, ResponseHandlers};
use crate::spec::Spec;
use crate::status::Status;
use crate::target::{CanonicalPath, call_path};
use crate::websocket::SocketSender;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl AppInner {
    /// Runs the handler of a message, within the limits of its route, and logs it. Also returns the route, if one matches.
    pub(super) fn handle_call(self: Arc<Self>, mut message: Message) -> (Option<&'static Spec>, CallFuture) {
        let access_log = AccessLogEntry::begin(&message);
        let path = call_path(message.path_as_sent());
        let MatchedRoute {
            route,
            index,
            captures,
        } = match self.find_call(&message, &path) {
            Ok(found) => found,
            Err(status) => return error_response(access_log, status),
        };
        let spec = route.spec;
        let routed = routed_text(spec, path);
        message.set_decoded_path(routed);
        let limits = self.limits.of(spec);
        if let Some(limit) = limits.and_then(|limits| limits.body_limit)
            && body_len(&message) > limit
        {
            let reason = format!(
                "the call has {} bytes of arguments and body, and the limit of its route is {limit} bytes; raise it with \
                 `Limits::body_limit`",
                body_len(&message)
            );
            return error_response(access_log, Status::PAYLOAD_TOO_LARGE.message(reason));
        }
        // The default timeout does not apply to calls: in brubeck's protocol a call has the deadline of its caller. A call in a
        // Python dialect has none, so its handler runs until it returns, the caller disconnects, or the timeout of the route
        // expires. Messages of message sockets have no deadline either, and no caller that waits, so the default applies.
        let is_socket_message = message.extension::<SocketSender>().is_some();
        let timeout = if is_socket_message {
            self.timeout_for(limits)
        } else {
            limits.and_then(|limits| limits.timeout).flatten()
        };
        let future = self.handlers.start(index, message, captures, None);
        let handler = CatchPanic::new(spec.name, future, self.environment.clone());
        let call = if limits.is_none() && timeout.is_none() && access_log.is_none() {
            CallFuture(Either::Left(handler))
        } else {
            // Boxed, so that calls without limits and log do not pay for the size of this future.
            let limited = self.run_with_limits(spec, handler, timeout, access_log);
            CallFuture(Either::Right(limited.boxed()))
        };
        (Some(spec), call)
    }

    /// Returns the route of a call, if one matches.
    pub(super) fn route_of_call(&self, message: &Message) -> Option<&'static Spec> {
        let path = call_path(message.path_as_sent());
        Some(self.find_call(message, &path).ok()?.route.spec)
    }

    /// Finds the handler of a call: by the name of its operation, or by its path if it has none.
    ///
    /// A service that has no handler of the operation may still serve its path, without the contract. A handler of another operation is
    /// never called.
    fn find_call(&self, message: &Message, path: &CanonicalPath<'_>) -> Result<MatchedRoute, Status> {
        let operation = message.operation();
        if let Some(CalledOperation { name, contract }) = operation
            && let Some(found) = self.router.find_operation(message.kind(), name, path.bytes())
        {
            self.contract_differences.check(found.route.spec, *contract);
            return Ok(found);
        }
        let status = match self.router.find(message.kind(), message.method(), path.bytes()) {
            Match::Found(found) if operation.is_none() || found.route.spec.operation.is_empty() => {
                return Ok(found);
            }
            Match::MethodNotAllowed { .. } => Status::METHOD_NOT_ALLOWED,
            Match::Found(_) | Match::NotFound => Status::NOT_FOUND,
        };
        Err(match operation {
            Some(operation) => status.message(format!(
                "the service does not serve the operation `{}`; start a version of it that does, or list its handler in `routes!`",
                operation.name
            )),
            None => status,
        })
    }

    async fn run_with_limits(
        self: Arc<Self>,
        route: &'static Spec,
        handler: impl Future<Output = Response> + Unpin,
        timeout: Option<Duration>,
        access_log: Option<AccessLogEntry>,
    ) -> Response {
        let response = match acquire_permit(self.limits.of(route)) {
            Ok(_permit) => {
                ResponseTimeout::from_first_wait(timeout)
                    .run(route.name, handler)
                    .await
            }
            Err(unavailable) => unavailable.with_outcome(Outcome::Rejected),
        };
        if let Some(access_log) = access_log {
            access_log.write(&response);
        }
        response
    }
}

impl AppInner {
    /// Finds the response handler of a call: that of its operation, or one without an operation whose route matches its path.
    fn find_response_handler(
        &self,
        operation: Option<&CalledOperation>,
        path: &[u8],
    ) -> Option<MatchedRoute> {
        if let Some(operation) = operation
            && let Some(found) = self.router.find_operation(Kind::Response, &operation.name, path)
        {
            return Some(found);
        }
        match self.router.find(Kind::Response, Method::Response, path) {
            Match::Found(found) if operation.is_none() || found.route.spec.operation.is_empty() => {
                Some(found)
            }
            _ => None,
        }
    }
}

fn body_len(message: &Message) -> usize {
    let parts = message.parts().iter().map(|part| part.len());
    parts.fold(
        message.arguments().len().saturating_add(message.body().len()),
        usize::saturating_add,
    )
}

impl ResponseHandlers for AppInner {
    fn handles(&self, call: &CallTarget) -> bool {
        let path = call_path(&call.path);
        self.find_response_handler(call.operation.as_ref(), path.bytes())
            .is_some()
    }

    fn detached_calls(&self) -> &DetachedCalls {
        &self.detached_calls
    }

    fn takes_errors(&self, call: &CallTarget) -> bool {
        let path = call_path(&call.path);
        self.find_response_handler(call.operation.as_ref(), path.bytes())
            .is_some_and(|found| found.route.takes_call_errors)
    }

    fn respond(self: Arc<Self>, mut response: Message) -> BoxFuture<'static, Option<Handled>> {
        Box::pin(async move {
            let path = response.path_as_sent().to_owned();
            let routed = call_path(&path);
            let MatchedRoute {
                route,
                index,
                captures,
            } = self.find_response_handler(response.operation(), routed.bytes())?;
            response.set_decoded_path(routed_text(route.spec, routed));
            let mut future = self.handlers.start(index, response, captures, None);
            let response = self.catch_panic(route.spec, &mut future).await;
            let (status, _, payload) = response.into_shared_parts();
            match payload {
                Payload::HandlerValue(value) => Some(value),
                _ => {
                    let handler = route.spec.name;
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
    let response = status.into_reply().with_outcome(Outcome::Rejected);
    if let Some(access_log) = access_log {
        access_log.write(&response);
    }
    (None, CallFuture(Either::Right(ready(response).boxed())))
}
