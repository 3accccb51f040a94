//! One web request from top to bottom.
//!
//! 1. `RootService` (`app/root.rs`) decides the client and the authority (`app/addressing.rs`), and the layers run.
//! 2. [`AppInner::dispatch`] selects the responder: a mounted service, a handler, the fallback, or a fixed response such as 405.
//! 3. [`AppInner::run_inline`] polls a handler once, if the front end allows it. [`AppInner::run`] does the rest: the limits
//!    of the route, the body, the hooks, the handler and its timeout, the cookies.
//! 4. [`AppInner::finalize`] runs catchers, renders error pages and opens files.
//! 5. The layers see the response, and `RootService` writes the access log.

use super::finalize::{ResponsePreferences, needs_finalizing};
use super::handlers::HookContext;
use super::inner::AppInner;
use super::limits::{Limits, ResponseTimeout, acquire_permit};
use super::tower::{AppService, Mounted};
use crate::extract::PendingBody;
#[cfg(feature = "files")]
use crate::files::{FileRequest, Files};
use crate::handler::{PollTimer, poll_inline};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::peer::WebClient;
use crate::response::http_response::http_response;
use crate::response::{Body, BodyError, IntoReply, Problem, Response};
use crate::routing::{BoxFuture as HandlerFuture, Match, MatchedRoute, routed_text};
use crate::scope::RequestScope;
use crate::spec::Spec;
use crate::status::Status;
use crate::target::{canonical_path, check_query};
use crate::websocket::UpgradeHandle;
use futures_util::FutureExt;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::OwnedSemaphorePermit;

/// Limit for the path and query of a request, in bytes.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The responder of a request, selected by [`AppInner::dispatch`].
///
/// Handlers that can start at once are the common case and are not boxed. The other variants are, to keep the enum small.
pub(super) enum Dispatch {
    /// A handler that is ready to run.
    Handler(RunningHandler, ResponsePreferences),
    /// A handler that cannot start before its limits are checked or the request body is read.
    Pending(Box<PendingRequest>, ResponsePreferences),
    /// A complete response, such as 405.
    Response(Box<Response>, ResponsePreferences),
    /// The fallback hook.
    Fallback(Box<Parts>, ResponsePreferences),
    /// A mounted service, or the route and its layers.
    Mount(AppService, Box<http::Request<Body>>),
    /// A folder of files.
    #[cfg(feature = "files")]
    Files(Arc<Files>, Box<FileRequest>, ResponsePreferences),
}

impl Dispatch {
    /// Predicts whether the response will be ready after one short poll.
    pub(super) fn is_fast(&self) -> bool {
        match self {
            Dispatch::Handler(running, _) => {
                running.timer.as_ref().is_some_and(PollTimer::should_poll_inline)
            }
            Dispatch::Response(..) => true,
            _ => false,
        }
    }
}

/// A request whose handler has not started, because its limits are not checked or its body is not read.
pub(super) struct PendingRequest {
    matched: MatchedRoute,
    message: Message,
    body: Body,
}

/// A permit of a route, and the WebSocket that the request may open.
struct HeldPermit {
    permit: OwnedSemaphorePermit,
    upgrade: Option<UpgradeHandle>,
}

impl HeldPermit {
    /// Acquires a permit. Returns `None` if the route has no limit for concurrent requests.
    ///
    /// # Errors
    ///
    /// Returns a 503 response if no permit is free.
    fn acquire(limits: Option<&Limits>, message: &Message) -> Result<Option<HeldPermit>, Response> {
        let permit = acquire_permit(limits)?;
        Ok(permit.map(|permit| HeldPermit {
            permit,
            upgrade: message.extension::<UpgradeHandle>().cloned(),
        }))
    }

    /// Keeps the permit until the response has been sent, or until the WebSocket that it opens is closed.
    fn keep_until_sent(self, response: http::Response<Body>) -> http::Response<Body> {
        match self.upgrade {
            Some(upgrade) if response.status() == http::StatusCode::SWITCHING_PROTOCOLS => {
                upgrade.keep_until_closed(self.permit);
                response
            }
            _ => response.map(|body| body.keep_until_sent(self.permit)),
        }
    }
}

/// A handler that has all its input.
pub(super) struct RunningHandler {
    route: &'static Spec,
    future: HandlerFuture,
    timeout: ResponseTimeout,
    /// A copy of the message for the `after` hooks, if there are any.
    message_for_after: Option<Message>,
    timer: Option<PollTimer>,
}

/// The result of matching a path and a method.
enum RouteTarget {
    Handler(MatchedRoute),
    /// A response without a handler: 405, the 204 of an `OPTIONS` request, or a rejection.
    Response(Response),
    NotFound,
}

/// Dispatching: nothing waits here.
impl AppInner {
    /// Resolves the route and selects the responder.
    ///
    /// This happens before the request is boxed: the route decides what must be kept of it, and moving an
    /// `http::Request` is expensive. `measure_latency` times the handler, for later predictions.
    pub(super) fn dispatch(
        self: &Arc<Self>,
        mut request: http::Request<Body>,
        client: WebClient,
        measure_latency: bool,
    ) -> Dispatch {
        let method = Method::from_http(request.method());
        let (target, decoded_path) = match (method, canonical_path(request.uri().path())) {
            (Some(Method::Options), _) if request.uri().path() == "*" => {
                (RouteTarget::Response(self.server_options()), None)
            }
            // The target of CONNECT is an authority without a path, and this server is not a proxy.
            (None | Some(Method::Connect), Err(_)) => (RouteTarget::Response(unsupported_method()), None),
            (_, Err(reason)) => (RouteTarget::Response(bad_target(reason)), None),
            (method, Ok(path)) => {
                if let Some((mounted, uri)) = self.mounts.find(request.uri(), &path) {
                    return self.dispatch_to_mount(mounted, request, uri, client);
                }
                let target = match method {
                    Some(method) => self.match_route(method, path.bytes()),
                    None => RouteTarget::Response(unsupported_method()),
                };
                let target = match target {
                    // Only a proxy supports it for every resource (RFC 9110, section 9.3.6).
                    RouteTarget::NotFound if method == Some(Method::Connect) => {
                        RouteTarget::Response(unsupported_method())
                    }
                    target => target,
                };
                if let RouteTarget::NotFound = target
                    && self.hooks.fallback.is_none()
                    && let Some((mounted, uri)) = self.mounts.find_root(request.uri(), &path)
                {
                    return self.dispatch_to_mount(mounted, request, uri, client);
                }
                let decoded = match &target {
                    RouteTarget::Handler(matched) => routed_text(matched.route.spec, path),
                    _ => None,
                };
                (target, decoded)
            }
        };
        // Requests for mounted services are exempt: the services decide themselves which requests they accept.
        let target = self
            .reject(&request, client)
            .map_or(target, RouteTarget::Response);
        if let RouteTarget::Handler(matched) = &target
            && let Some(layer) = self.route_layers.next(matched.index, request.extensions())
        {
            let layer = layer.clone();
            client.add_to(request.extensions_mut());
            return Dispatch::Mount(layer, Box::new(request));
        }
        let (mut parts, body) = request.into_parts();
        let keep_message = !self.hooks.catchers.is_empty();
        let preferences = ResponsePreferences::new(&parts, method, client, keep_message);
        match target {
            RouteTarget::Handler(matched) => {
                let mut message = Message::from_request_parts(matched.route.spec.method, parts, client);
                message.set_decoded_path(decoded_path);
                self.dispatch_to_handler(matched, message, body, measure_latency, preferences)
            }
            RouteTarget::Response(response) => Dispatch::Response(Box::new(response), preferences),
            RouteTarget::NotFound if self.hooks.fallback.is_none() => {
                Dispatch::Response(Box::new(Status::NOT_FOUND.into_reply()), preferences)
            }
            RouteTarget::NotFound => {
                client.add_to(&mut parts.extensions);
                Dispatch::Fallback(Box::new(parts), preferences)
            }
        }
    }

    /// Passes the request on with the URI below the prefix. A service also gets the application's body limit.
    fn dispatch_to_mount(
        &self,
        mounted: Mounted,
        request: http::Request<Body>,
        uri: http::Uri,
        client: WebClient,
    ) -> Dispatch {
        #[cfg_attr(not(feature = "files"), allow(clippy::infallible_destructuring_match))]
        let service = match mounted {
            Mounted::Service(service) => service,
            #[cfg(feature = "files")]
            Mounted::Files(files) => return self.dispatch_to_files(files, request, uri, client),
        };
        let mut request = request.map(|body| body.limited(self.body_limit));
        // A router of axum would have a limit of its own.
        #[cfg(feature = "axum")]
        axum_core::extract::DefaultBodyLimit::max(self.body_limit).apply(&mut request);
        *request.uri_mut() = uri;
        client.add_to(request.extensions_mut());
        Dispatch::Mount(service, Box::new(request))
    }

    #[cfg(feature = "files")]
    fn dispatch_to_files(
        &self,
        files: Arc<Files>,
        request: http::Request<Body>,
        uri: http::Uri,
        client: WebClient,
    ) -> Dispatch {
        let (parts, _) = request.into_parts();
        let keep_message = !self.hooks.catchers.is_empty();
        let method = Method::from_http(&parts.method);
        let preferences = ResponsePreferences::new(&parts, method, client, keep_message);
        let request = FileRequest::new(parts.method, parts.headers, &parts.uri, uri);
        Dispatch::Files(files, Box::new(request), preferences)
    }

    /// Prepares the handler to run at once if the body is complete and within the limit, and the route neither has limits of
    /// its own nor streams its body. Otherwise returns [`Dispatch::Pending`].
    #[inline]
    fn dispatch_to_handler(
        self: &Arc<Self>,
        matched: MatchedRoute,
        mut message: Message,
        body: Body,
        measure_latency: bool,
        preferences: ResponsePreferences,
    ) -> Dispatch {
        let route = matched.route;
        let needs_no_wait = !route.streams && self.limits.of(route.spec).is_none();
        let complete_body = body
            .bytes()
            .filter(|bytes| needs_no_wait && bytes.len() <= self.body_limit);
        let Some(complete_body) = complete_body else {
            let pending = PendingRequest {
                matched,
                message,
                body,
            };
            return Dispatch::Pending(Box::new(pending), preferences);
        };
        if !complete_body.is_empty() {
            message = message.with_body(complete_body.clone());
        }
        let timeout = ResponseTimeout::from_first_wait(self.timeout);
        let index = matched.index;
        let mut running = self.prepare_handler(matched, message, timeout);
        if measure_latency {
            running.timer = self.latency.get(index).map(PollTimer::new);
        }
        Dispatch::Handler(running, preferences)
    }

    /// Rejects a request whose target is too long or invalid, or that may be forged by another site.
    fn reject(&self, request: &http::Request<Body>, client: WebClient) -> Option<Response> {
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        if target.len() > MAX_TARGET_BYTES {
            return Some(Problem::new(414, "the path and query are too long").into_reply());
        }
        if let Some(Err(reason)) = request.uri().query().map(check_query) {
            return Some(bad_target(reason));
        }
        let scheme = || client.scheme.or_in(request.extensions());
        if self
            .cross_site
            .is_forged(request.method(), request.headers(), scheme)
        {
            let path = request.uri().path();
            tracing::warn!(path, "rejected a cross-site request");
            return Some(Problem::new(403, "this request was started by another site").into_reply());
        }
        None
    }

    /// Responds to `OPTIONS *`, which asks for the methods of the whole server (RFC 9110, section 9.3.7).
    fn server_options(&self) -> Response {
        let web = self.router.specs().filter(|spec| spec.kind == Kind::Web);
        let methods: Vec<Method> = web.map(|spec| spec.method).collect();
        let mut response = Status::NO_CONTENT.into_reply();
        response.headers_mut().insert(ALLOW, allow_header(&methods));
        response
    }

    fn match_route(&self, method: Method, path: &[u8]) -> RouteTarget {
        match self.router.find(Kind::Web, method, path) {
            Match::Found(matched) => RouteTarget::Handler(matched),
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
        matched: MatchedRoute,
        message: Message,
        timeout: ResponseTimeout,
    ) -> RunningHandler {
        let MatchedRoute {
            route,
            index,
            captures,
        } = matched;
        let message_for_after = (!self.hooks.after.is_empty()).then(|| message.clone());
        let scope = timeout.scope().clone();
        let future = if self.hooks.before.is_empty() {
            self.handlers.start(index, message, captures, Some(scope))
        } else {
            let cx = self.handlers.hook_context(message, captures, scope);
            Box::pin(self.clone().run_with_before_hooks(index, cx))
        };
        RunningHandler {
            route: route.spec,
            future,
            timeout,
            message_for_after,
            timer: None,
        }
    }
}

/// Running: from the decision to the response.
impl AppInner {
    /// Polls the handler once, and returns its response if it is ready and complete. Also returns a complete response that
    /// needs no handler. Otherwise continue with [`run`](Self::run).
    pub(super) fn run_inline(&self, dispatch: &mut Dispatch) -> Option<http::Response<Body>> {
        let (running, preferences) = match dispatch {
            // Saving a session in its store waits.
            Dispatch::Handler(..) if self.settings().sessions.has_store() => return None,
            Dispatch::Handler(running, preferences) => (running, preferences),
            Dispatch::Response(response, _) if !needs_finalizing(response) => {
                let response = std::mem::replace(&mut **response, Response::new(Status::OK));
                return Some(http_response(response));
            }
            _ => return None,
        };
        let handler = self.catch_panic(running.route, &mut running.future);
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
    pub(super) async fn run(self: Arc<Self>, dispatch: Dispatch) -> http::Response<Body> {
        let mut held = None;
        let (response, preferences) = match dispatch {
            Dispatch::Handler(running, preferences) => (self.run_handler(running).await, preferences),
            Dispatch::Pending(pending, preferences) => {
                held = match HeldPermit::acquire(self.limits.of(pending.matched.route.spec), &pending.message)
                {
                    Ok(held) => held,
                    Err(unavailable) => {
                        return http_response(Box::pin(self.finalize(unavailable, preferences)).await);
                    }
                };
                (Box::pin(self.run_pending(*pending)).await, preferences)
            }
            Dispatch::Response(response, preferences) => (*response, preferences),
            Dispatch::Fallback(parts, preferences) => {
                (Box::pin(self.run_fallback(*parts)).await, preferences)
            }
            Dispatch::Mount(service, request) => return service.respond(*request).await,
            #[cfg(feature = "files")]
            Dispatch::Files(files, request, preferences) => {
                (Box::pin(files.respond(*request)).await, preferences)
            }
        };
        let response = if needs_finalizing(&response) {
            http_response(Box::pin(self.finalize(response, preferences)).await)
        } else {
            http_response(response)
        };
        match held {
            Some(held) => held.keep_until_sent(response),
            None => response,
        }
    }

    /// Reads the body unless the handler streams it, and runs the handler. Returns an error response if the body cannot be read.
    async fn run_pending(self: &Arc<Self>, pending: PendingRequest) -> Response {
        let PendingRequest {
            matched,
            mut message,
            body,
        } = pending;
        let route = matched.route;
        let limits = self.limits.of(route.spec);
        let body_limit = limits
            .and_then(|limits| limits.body_limit)
            .unwrap_or(self.body_limit);
        let timeout = if route.streams {
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
        if let Some(part_limits) = limits.and_then(|limits| limits.part_limits) {
            message = message.with_extension(part_limits);
        }
        if let Some(bytes) = limits.and_then(|limits| limits.message_limit)
            && let Some(upgrade) = message.extension::<UpgradeHandle>()
        {
            upgrade.set_message_limit(bytes);
        }
        self.run_handler(self.prepare_handler(matched, message, timeout))
            .await
    }

    async fn run_handler(&self, mut running: RunningHandler) -> Response {
        if let Some(timer) = &running.timer {
            timer.wake_others().await;
        }
        let RunningHandler {
            route,
            future,
            timeout,
            timer,
            ..
        } = &mut running;
        let handler = timed(timer, self.catch_panic(route, future));
        let mut response = timeout.run(route.name, handler).await;
        self.save_session(running.timeout.scope(), running.route.name)
            .await;
        self.complete_handler(&running, &mut response);
        response
    }

    /// Runs the `before` hooks, and the handler at this position of the route table.
    async fn run_with_before_hooks(self: Arc<Self>, index: usize, cx: Box<dyn HookContext>) -> Response {
        for hook in &self.hooks.before {
            if let Err(response) = cx.run(*hook).await {
                return response;
            }
        }
        cx.start(index).await
    }

    /// Ends the scope of the request, sets the cookies, and runs the `after` hooks.
    fn complete_handler(&self, running: &RunningHandler, response: &mut Response) {
        running.timeout.scope().finish();
        self.apply_cookies(running.timeout.scope(), response, running.route.name);
        if let Some(message) = &running.message_for_after {
            let original = std::mem::replace(response, Response::new(Status::OK));
            let after = self.hooks.after.iter();
            let changed = after.fold(original, |response, hook| hook(message, response));
            // A hook may respond with a template of its own.
            *response = self.environment.templates.render(changed);
        }
    }

    /// Saves a changed session, if sessions are in a store.
    pub(super) async fn save_session(&self, scope: &RequestScope, handler: &'static str) {
        let settings = self.settings();
        if settings.sessions.has_store()
            && let (Some(cookies), Some(keys)) = (scope.cookies(), &settings.cookie_keys)
        {
            cookies.save_session(keys, handler).await;
        }
    }

    pub(super) fn apply_cookies(&self, scope: &RequestScope, response: &mut Response, handler: &'static str) {
        if let Some(cookies) = scope.cookies() {
            cookies.apply_to(
                self.settings().cookie_keys.as_ref(),
                response.headers_mut(),
                handler,
            );
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

fn unsupported_method() -> Response {
    Problem::new(501, "this method is not supported").into_reply()
}

fn bad_target(reason: &'static str) -> Response {
    Problem::new(400, reason).into_reply()
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
