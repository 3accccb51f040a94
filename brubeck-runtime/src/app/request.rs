//! One web request from top to bottom.
//!
//! 1. `RootService` (`app/root.rs`) applies the trusted proxies, and the layers run.
//! 2. [`AppInner::dispatch`] selects the responder: a mounted service, a handler, the fallback, or a fixed response such as 405.
//! 3. [`AppInner::run_inline`] polls a handler once, if the front end allows it. [`AppInner::run`] does the rest: the limits
//!    of the route, the body, the hooks, the handler and its timeout, the cookies.
//! 4. [`AppInner::finalize`] runs catchers, renders error pages and opens files.
//! 5. The layers see the response, and `RootService` writes the access log.

use super::finalize::{ResponsePreferences, needs_finalizing};
use super::inner::AppInner;
use super::limits::{ConcurrencyPermit, ResponseTimeout, acquire_permit};
use super::tower::{AppService, limit_body};
use crate::extract::{Captures, Context, PendingBody};
use crate::handler::{PollTimer, poll_inline};
use crate::message::{Message, RemoteAddr};
use crate::method::{Kind, Method};
use crate::response::http_response::http_response;
use crate::response::{Body, BodyError, IntoReply, Problem, Response};
use crate::routing::{BoxFuture as HandlerFuture, Entry, Match};
use crate::scope::RequestScope;
use crate::status::Status;
use futures_util::FutureExt;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Limit for the path and query of a request, in bytes.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The responder of a request, selected by [`AppInner::dispatch`].
///
/// Handlers that can start at once are the common case and are not boxed. The other variants are, to keep the enum small.
pub(super) enum Dispatch<S: 'static> {
    /// A handler that is ready to run.
    Handler(RunningHandler<S>, ResponsePreferences),
    /// A handler that cannot start before its limits are checked or the request body is read.
    Pending(Box<PendingRequest<S>>, ResponsePreferences),
    /// A complete response, such as 405.
    Response(Box<Response>, ResponsePreferences),
    /// The fallback hook.
    Fallback(Box<Parts>, ResponsePreferences),
    /// A mounted service.
    Mount(AppService, Box<http::Request<Body>>),
}

impl<S> Dispatch<S> {
    /// Predicts whether the response will be ready after one short poll.
    pub(super) fn is_fast(&self) -> bool {
        match self {
            Dispatch::Handler(running, _) => {
                running.timer.as_ref().is_some_and(PollTimer::should_poll_inline)
            }
            Dispatch::Response(..) => true,
            Dispatch::Pending(..) | Dispatch::Fallback(..) | Dispatch::Mount(..) => false,
        }
    }
}

/// A request whose handler has not started, because its limits are not checked or its body is not read.
pub(super) struct PendingRequest<S: 'static> {
    entry: &'static Entry<S>,
    captures: Captures,
    message: Message,
    body: Body,
}

/// A handler that has all its input.
pub(super) struct RunningHandler<S: 'static> {
    entry: &'static Entry<S>,
    future: HandlerFuture,
    timeout: ResponseTimeout,
    /// A copy of the message for the `after` hooks, if there are any.
    message_for_after: Option<Message>,
    timer: Option<PollTimer>,
}

/// The result of matching a path and a method.
enum RouteTarget<S: 'static> {
    Handler(MatchedRoute<S>),
    /// A response without a handler: 405, the 204 of an `OPTIONS` request, or a rejection.
    Response(Response),
    NotFound,
}

struct MatchedRoute<S: 'static> {
    entry: &'static Entry<S>,
    captures: Captures,
    /// The position in the route table.
    index: usize,
}

/// Dispatching: nothing waits here.
impl<S: Send + Sync + 'static> AppInner<S> {
    /// Resolves the route and selects the responder.
    ///
    /// This happens before the request is boxed: the route decides what must be kept of it, and moving an
    /// `http::Request` is expensive. `measure_latency` times the handler, for later predictions.
    pub(super) fn dispatch(
        self: &Arc<Self>,
        request: http::Request<Body>,
        peer: Option<RemoteAddr>,
        measure_latency: bool,
    ) -> Dispatch<S> {
        if let Some((service, uri)) = self.mounts.find(request.uri()) {
            return self.dispatch_to_mount(service, request, uri, peer);
        }
        let method = Method::from_http(request.method());
        let target = match method {
            Some(method) => self.match_route(method, request.uri().path()),
            None => RouteTarget::Response(Problem::new(501, "this method is not supported").into_reply()),
        };
        if let RouteTarget::NotFound = target
            && self.hooks.fallback.is_none()
            && let Some((service, uri)) = self.mounts.find_root(request.uri())
        {
            return self.dispatch_to_mount(service, request, uri, peer);
        }
        // Requests for mounted services are exempt: the services decide themselves which requests they accept.
        let target = self.reject(&request).map_or(target, RouteTarget::Response);
        let (mut parts, body) = request.into_parts();
        let keep_message = !self.hooks.catchers.is_empty();
        let preferences = ResponsePreferences::new(&parts, method, peer, keep_message);
        match target {
            RouteTarget::Handler(route) => {
                let message = Message::from_request_parts(route.entry.spec.method, parts, peer);
                self.dispatch_to_handler(route, message, body, measure_latency, preferences)
            }
            RouteTarget::Response(response) => Dispatch::Response(Box::new(response), preferences),
            RouteTarget::NotFound if self.hooks.fallback.is_none() => {
                Dispatch::Response(Box::new(Status::NOT_FOUND.into_reply()), preferences)
            }
            RouteTarget::NotFound => {
                if let Some(peer) = peer {
                    parts.extensions.insert(peer);
                }
                Dispatch::Fallback(Box::new(parts), preferences)
            }
        }
    }

    /// Passes the request on with the URI that the mounted service sees, and with the application's body limit.
    fn dispatch_to_mount(
        &self,
        service: AppService,
        request: http::Request<Body>,
        uri: http::Uri,
        peer: Option<RemoteAddr>,
    ) -> Dispatch<S> {
        let mut request = limit_body(request, self.body_limit);
        *request.uri_mut() = uri;
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        Dispatch::Mount(service, Box::new(request))
    }

    /// Prepares the handler to run at once if the body is complete and within the limit, and the route neither has limits of
    /// its own nor streams its body. Otherwise returns [`Dispatch::Pending`].
    #[inline]
    fn dispatch_to_handler(
        self: &Arc<Self>,
        route: MatchedRoute<S>,
        mut message: Message,
        body: Body,
        measure_latency: bool,
        preferences: ResponsePreferences,
    ) -> Dispatch<S> {
        let MatchedRoute {
            entry,
            captures,
            index,
        } = route;
        let needs_no_wait = !entry.streams && self.limits.of(entry.spec).is_none();
        let complete_body = body
            .bytes()
            .filter(|bytes| needs_no_wait && bytes.len() <= self.body_limit);
        let Some(complete_body) = complete_body else {
            let pending = PendingRequest {
                entry,
                captures,
                message,
                body,
            };
            return Dispatch::Pending(Box::new(pending), preferences);
        };
        if !complete_body.is_empty() {
            message = message.with_body(complete_body.clone());
        }
        let timeout = ResponseTimeout::from_first_wait(self.timeout);
        let mut running = self.prepare_handler(entry, captures, message, timeout);
        if measure_latency {
            running.timer = self.latency.get(index).map(PollTimer::new);
        }
        Dispatch::Handler(running, preferences)
    }

    /// Rejects a request whose target is too long or that may be forged by another site.
    fn reject(&self, request: &http::Request<Body>) -> Option<Response> {
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        if target.len() > MAX_TARGET_BYTES {
            return Some(Problem::new(414, "the path and query are too long").into_reply());
        }
        if self.cross_site.is_forged(request.method(), request.headers()) {
            let path = request.uri().path();
            tracing::warn!(path, "rejected a cross-site request");
            return Some(Problem::new(403, "this request was started by another site").into_reply());
        }
        None
    }

    fn match_route(&self, method: Method, path: &str) -> RouteTarget<S> {
        match self.router.find(Kind::Web, method, path) {
            Match::Found {
                entry,
                captures,
                index,
            } => RouteTarget::Handler(MatchedRoute {
                entry,
                captures,
                index,
            }),
            // A HEAD request runs the GET handler. `apply_framing` drops the body and keeps its length.
            Match::MethodNotAllowed { allowed }
                if method == Method::Head && allowed.contains(&Method::Get) =>
            {
                self.match_route(Method::Get, path)
            }
            Match::MethodNotAllowed { allowed } => {
                let is_options = method == Method::Options && !allowed.is_empty();
                let status = if is_options {
                    Status::NO_CONTENT
                } else {
                    Status::METHOD_NOT_ALLOWED
                };
                let mut response = status.into_reply();
                response.headers_mut().insert(ALLOW, allow_header(&allowed));
                RouteTarget::Response(response)
            }
            Match::NotFound => RouteTarget::NotFound,
        }
    }

    /// Creates the future of a handler and of the `before` hooks in front of it.
    fn prepare_handler(
        self: &Arc<Self>,
        entry: &'static Entry<S>,
        captures: Captures,
        message: Message,
        timeout: ResponseTimeout,
    ) -> RunningHandler<S> {
        let message_for_after = (!self.hooks.after.is_empty()).then(|| message.clone());
        let cx = self
            .context(message, captures)
            .with_scope(timeout.scope().clone());
        let future = if self.hooks.before.is_empty() {
            (entry.handle)(cx)
        } else {
            Box::pin(self.clone().run_with_before_hooks(entry, cx))
        };
        RunningHandler {
            entry,
            future,
            timeout,
            message_for_after,
            timer: None,
        }
    }
}

/// Running: from the decision to the response.
impl<S: Send + Sync + 'static> AppInner<S> {
    /// Polls the handler once, and returns its response if it is ready and complete. Also returns a complete response that
    /// needs no handler. Otherwise continue with [`run`](Self::run).
    pub(super) fn run_inline(&self, dispatch: &mut Dispatch<S>) -> Option<http::Response<Body>> {
        let (running, preferences) = match dispatch {
            Dispatch::Handler(running, preferences) => (running, preferences),
            Dispatch::Response(response, _) if !needs_finalizing(response) => {
                let response = std::mem::replace(&mut **response, Response::new(Status::OK));
                return Some(http_response(response));
            }
            _ => return None,
        };
        let handler = self.catch_panic(running.entry, &mut running.future);
        let Poll::Ready(mut response) = poll_inline(&mut timed(&mut running.timer, handler)) else {
            return None;
        };
        self.complete_handler(running, &mut response);
        if needs_finalizing(&response) {
            // Finalizing waits, for a file or a hook, so it is left to `run`.
            *dispatch = Dispatch::Response(Box::new(response), std::mem::take(preferences));
            return None;
        }
        Some(http_response(response))
    }

    /// Runs the selected responder. Rare cases are boxed to keep this future small.
    pub(super) async fn run(self: Arc<Self>, dispatch: Dispatch<S>) -> http::Response<Body> {
        let (response, preferences) = match dispatch {
            Dispatch::Handler(running, preferences) => (self.run_handler(running).await, preferences),
            Dispatch::Pending(pending, preferences) => {
                (Box::pin(self.run_pending(*pending)).await, preferences)
            }
            Dispatch::Response(response, preferences) => (*response, preferences),
            Dispatch::Fallback(parts, preferences) => {
                (Box::pin(self.run_fallback(*parts)).await, preferences)
            }
            Dispatch::Mount(service, request) => return service.respond(*request).await,
        };
        if needs_finalizing(&response) {
            http_response(Box::pin(self.finalize(response, preferences)).await)
        } else {
            http_response(response)
        }
    }

    /// Acquires a permit of the route, reads the body unless the handler streams it, and runs the handler. Returns an error
    /// response if no permit is free, or if the body cannot be read.
    async fn run_pending(self: &Arc<Self>, pending: PendingRequest<S>) -> Response {
        let PendingRequest {
            entry,
            captures,
            mut message,
            body,
        } = pending;
        let limits = self.limits.of(entry.spec);
        let _permit: ConcurrencyPermit<'_> = match acquire_permit(limits) {
            Ok(permit) => permit,
            Err(unavailable) => return unavailable,
        };
        let body_limit = limits
            .and_then(|limits| limits.body_limit)
            .unwrap_or(self.body_limit);
        let timeout = if entry.streams {
            let (timeout, reading) = ResponseTimeout::after_body(self.timeout_for(limits));
            message = message.with_extension(PendingBody::new(body, body_limit, reading));
            timeout
        } else {
            match body.collect(body_limit).await {
                Ok(body) => message = message.with_body(body),
                Err(error) => return body_error_response(&error),
            }
            ResponseTimeout::from_first_wait(self.timeout_for(limits))
        };
        if let Some(part_limit) = limits.and_then(|limits| limits.part_limit) {
            message = message.with_extension(part_limit);
        }
        self.run_handler(self.prepare_handler(entry, captures, message, timeout))
            .await
    }

    async fn run_handler(&self, mut running: RunningHandler<S>) -> Response {
        if let Some(timer) = &running.timer {
            timer.wake_others().await;
        }
        let RunningHandler {
            entry,
            future,
            timeout,
            timer,
            ..
        } = &mut running;
        let handler = timed(timer, self.catch_panic(entry, future));
        let mut response = timeout.run(entry.spec.name, handler).await;
        self.complete_handler(&running, &mut response);
        response
    }

    async fn run_with_before_hooks(self: Arc<Self>, entry: &'static Entry<S>, cx: Context<S>) -> Response {
        for hook in &self.hooks.before {
            if let Err(response) = hook(&cx).await {
                return response;
            }
        }
        (entry.handle)(cx).await
    }

    /// Ends the scope of the request, sets the cookies, and runs the `after` hooks.
    fn complete_handler(&self, running: &RunningHandler<S>, response: &mut Response) {
        running.timeout.scope().finish();
        self.apply_cookies(running.timeout.scope(), response);
        if let Some(message) = &running.message_for_after {
            let original = std::mem::replace(response, Response::new(Status::OK));
            let after = self.hooks.after.iter();
            *response = after.fold(original, |response, hook| hook(message, response));
        }
    }

    pub(super) fn apply_cookies(&self, scope: &RequestScope, response: &mut Response) {
        if let Some(cookies) = scope.cookies() {
            cookies.apply_to(self.context.cookie_keys.as_ref(), response.headers_mut());
        }
    }
}

/// Times the polls of a handler if there is a timer.
fn timed<T>(
    timer: &mut Option<PollTimer>,
    mut handler: impl Future<Output = T> + Unpin,
) -> impl Future<Output = T> + Unpin {
    poll_fn(move |cx| match timer {
        Some(timer) => timer.poll(|| handler.poll_unpin(cx)),
        None => handler.poll_unpin(cx),
    })
}

fn body_error_response(error: &BodyError) -> Response {
    let code = match error {
        BodyError::TooLarge => 413,
        BodyError::TimedOut => 408,
        BodyError::Broken(_) => 400,
    };
    Problem::new(code, error.reason()).into_reply()
}

/// Formats the `allow` header. Adds the methods that brubeck implements for every resource: OPTIONS, and HEAD from GET.
fn allow_header(allowed: &[Method]) -> HeaderValue {
    let mut methods = allowed.to_vec();
    if !methods.is_empty() {
        methods.push(Method::Options);
    }
    if methods.contains(&Method::Get) {
        methods.push(Method::Head);
    }
    methods.sort();
    methods.dedup();
    let names: Vec<&str> = methods.into_iter().map(Method::as_http).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}
