//! A web request from top to bottom: the layers, the route, the body, the handler, and what is done to its response.

use super::finalize::{ResponsePreferences, needs_finalizing};
use super::inner::{ACCESS, AppInner};
use super::limits::{Permit, TimeLeft, acquire};
use super::tower::{AppService, HttpService};
use super::trust::Proxies;
use crate::extract::{Captures, Context, PendingBody};
use crate::handler::{DispatchMode, HttpResponseFuture, PollTimer, poll_inline};
use crate::message::{Message, RemoteAddr};
use crate::method::{Kind, Method};
use crate::response::http_response::{LengthSource, apply_framing, error_response, http_response};
use crate::response::{Body, BodyError, IntoReply, Problem, Response};
use crate::routing::{BoxFuture as HandlerFuture, Entry, Match};
use crate::scope::RequestScope;
use crate::status::Status;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::StatusCode;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http_body_util::Limited;
use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// The longest path and query that is looked at, in bytes.
const MAX_TARGET: usize = 8 * 1024;

/// The outermost service: resolves the client's address, writes the access log, catches a panic of any layer.
pub(super) struct RootService<S: 'static> {
    pub(super) app: Arc<AppInner<S>>,
    /// The application within its layers, if it has any.
    pub(super) layered: Option<AppService>,
    pub(super) proxies: Proxies,
}

impl<S: Send + Sync + 'static> HttpService for RootService<S> {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        match self.answer(request, None, LengthSource::Response, DispatchMode::Deferred) {
            Either::Left(answered) => Box::pin(answered),
            Either::Right(answer) => answer,
        }
    }
}

impl<S: Send + Sync + 'static> RootService<S> {
    /// Answers a request. `remote` is its peer, unless the extensions of the request name it.
    pub(super) fn answer(
        &self,
        mut request: http::Request<Body>,
        mut remote: Option<RemoteAddr>,
        length: LengthSource,
        mode: DispatchMode,
    ) -> HttpResponseFuture {
        if self.layered.is_some() || self.proxies.are_trusted() {
            if let Some(remote) = remote.take() {
                request.extensions_mut().insert(remote);
            }
            self.proxies.resolve(&mut request);
        }
        let meta = RequestMeta {
            // Read the clock only if the access log is enabled.
            began: tracing::enabled!(target: ACCESS, tracing::Level::INFO).then(Instant::now),
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            remote: remote.or_else(|| request.extensions().get().copied()),
            length,
        };
        if let Some(layered) = &self.layered {
            return Either::Right(Box::pin(meta.finished(layered.respond(request))));
        }
        let app = &self.app;
        let mut dispatch = app.dispatch(request, remote, mode == DispatchMode::InlineIfFast);
        let inline = match mode {
            DispatchMode::Deferred => false,
            DispatchMode::InlineIfFast => dispatch.is_fast(),
            DispatchMode::Inline => true,
        };
        if inline {
            match catch_unwind(AssertUnwindSafe(|| app.run_inline(&mut dispatch))) {
                Ok(None) => {}
                Ok(Some(mut response)) => {
                    meta.finish(&mut response);
                    return Either::Left(ready(response));
                }
                Err(_) => return Either::Left(ready(meta.panicked())),
            }
        }
        Either::Right(Box::pin(meta.finished(app.clone().run(dispatch))))
    }
}

/// The part of a request that the access log and the end of its response need.
struct RequestMeta {
    began: Option<Instant>,
    method: http::Method,
    target: Option<PathAndQuery>,
    remote: Option<RemoteAddr>,
    length: LengthSource,
}

impl RequestMeta {
    async fn finished(self, answer: impl Future<Output = http::Response<Body>>) -> http::Response<Body> {
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(mut response) => {
                self.finish(&mut response);
                response
            }
            Err(_) => self.panicked(),
        }
    }

    fn panicked(&self) -> http::Response<Body> {
        tracing::error!(method = %self.method, path = self.path(), "a layer or a mounted service panicked");
        let mut refused = error_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        self.finish(&mut refused);
        refused
    }

    fn finish(&self, response: &mut http::Response<Body>) {
        if let Some(began) = self.began {
            let (method, path) = (&self.method, self.path());
            tracing::info!(
                target: ACCESS,
                remote = self.remote.map(tracing::field::display),
                "{} {method} {path} in {:?}", response.status().as_u16(), began.elapsed()
            );
        }
        apply_framing(response, self.method == http::Method::HEAD, self.length);
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }
}

/// The application without its layers.
pub(super) struct RouterService<S: 'static>(pub(super) Arc<AppInner<S>>);

impl<S: Send + Sync + 'static> HttpService for RouterService<S> {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let app = self.0.clone();
        let dispatch = app.dispatch(request, None, false);
        Box::pin(app.run(dispatch))
    }
}

/// What is done about a request.
pub(super) enum Dispatch<S: 'static> {
    /// A handler answers it.
    Handler(RunningHandler<S>, ResponsePreferences),
    /// A handler answers it, once its route has room for it and its body is read.
    Pending(Box<PendingRequest<S>>, ResponsePreferences),
    /// It is answered already.
    Answer(Box<Response>, ResponsePreferences),
    /// No route matches it; the fallback answers.
    Fallback(Box<Parts>, ResponsePreferences),
    /// A mounted service answers it.
    Mounted(AppService, Box<http::Request<Body>>),
}

impl<S> Dispatch<S> {
    /// Returns whether the response is likely to be there without waiting.
    fn is_fast(&self) -> bool {
        match self {
            Dispatch::Handler(running, _) => {
                running.timer.as_ref().is_some_and(PollTimer::should_poll_inline)
            }
            Dispatch::Answer(..) => true,
            Dispatch::Pending(..) | Dispatch::Fallback(..) | Dispatch::Mounted(..) => false,
        }
    }
}

/// A request whose handler cannot begin yet.
pub(super) struct PendingRequest<S: 'static> {
    entry: &'static Entry<S>,
    captures: Captures,
    message: Message,
    body: Body,
}

/// A handler that is about to run.
pub(super) struct RunningHandler<S: 'static> {
    entry: &'static Entry<S>,
    run: HandlerFuture,
    time_left: TimeLeft,
    /// The message, if there are functions that see it afterwards.
    seen: Option<Message>,
    timer: Option<PollTimer>,
}

/// The target of a path and a method.
enum Found<S: 'static> {
    /// A handler, and its place in the route table.
    Handler(&'static Entry<S>, Captures, usize),
    Answer(Response),
    Nothing,
}

impl<S: Send + Sync + 'static> AppInner<S> {
    /// Finds the route of a request.
    ///
    /// This happens before the request is boxed: the route decides what must be kept of it, and moving an
    /// `http::Request` is expensive. `timed` asks for the time that the handler takes.
    fn dispatch(
        self: &Arc<Self>,
        request: http::Request<Body>,
        remote: Option<RemoteAddr>,
        timed: bool,
    ) -> Dispatch<S> {
        if let Some((service, uri)) = self.mounts.find(request.uri()) {
            return Dispatch::Mounted(service, self.mounted_request(request, uri, remote));
        }
        let method = Method::from_http(request.method());
        let found = match method {
            Some(method) => self.find(method, request.uri().path()),
            None => Found::Answer(Problem::new(501, "this method is not known here").into_reply()),
        };
        if let Found::Nothing = found
            && self.hooks.fallback.is_none()
            && let Some((service, uri)) = self.mounts.find_root(request.uri())
        {
            return Dispatch::Mounted(service, self.mounted_request(request, uri, remote));
        }
        let found = self.refused(&request).map_or(found, Found::Answer);
        let (mut parts, body) = request.into_parts();
        let preferences = ResponsePreferences::of(&parts, method, remote, !self.hooks.catchers.is_empty());
        match found {
            Found::Handler(entry, captures, index) => {
                let message = Message::from_request_parts(entry.spec.method, parts, remote);
                let whole = body.bytes().filter(|whole| whole.len() <= self.body_limit);
                match whole {
                    // Most requests wait for nothing, so they are not boxed.
                    Some(whole) if !entry.streams && self.limits.of(entry.spec).is_none() => {
                        let message = match whole.is_empty() {
                            true => message,
                            false => message.with_body(whole.clone()),
                        };
                        let time_left = TimeLeft::from_now(self.timeout);
                        let mut running = self.start(entry, captures, message, time_left);
                        running.timer = self.latency.get(index).filter(|_| timed).map(PollTimer::new);
                        Dispatch::Handler(running, preferences)
                    }
                    _ => {
                        let pending = PendingRequest {
                            entry,
                            captures,
                            message,
                            body,
                        };
                        Dispatch::Pending(Box::new(pending), preferences)
                    }
                }
            }
            Found::Answer(response) => Dispatch::Answer(Box::new(response), preferences),
            Found::Nothing if self.hooks.fallback.is_none() => {
                Dispatch::Answer(Box::new(Status::NOT_FOUND.into_reply()), preferences)
            }
            Found::Nothing => {
                if let Some(remote) = remote {
                    parts.extensions.insert(remote);
                }
                Dispatch::Fallback(Box::new(parts), preferences)
            }
        }
    }

    /// The request as a mounted service sees it: with a URI of its own, and a body within the limit of the application.
    fn mounted_request(
        &self,
        request: http::Request<Body>,
        uri: http::Uri,
        remote: Option<RemoteAddr>,
    ) -> Box<http::Request<Body>> {
        let limit = self.body_limit;
        let mut request = match request.body().bytes() {
            Some(body) if body.len() <= limit => request,
            _ => request.map(|body| Body::new(Limited::new(body, limit))),
        };
        *request.uri_mut() = uri;
        if let Some(remote) = remote {
            request.extensions_mut().insert(remote);
        }
        Box::new(request)
    }

    /// The refusal of a request that no handler may see: its target is too long, or another site forged it.
    fn refused(&self, request: &http::Request<Body>) -> Option<Response> {
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        if target.len() > MAX_TARGET {
            return Some(Problem::new(414, "the address is too long").into_reply());
        }
        self.cross_site
            .forged(request.method(), request.headers())
            .then(|| {
                let path = request.uri().path();
                tracing::warn!(path, "a request that another site started was refused");
                Problem::new(403, "another site has started this request").into_reply()
            })
    }

    /// The handler for a path and a method, or the 405, 204 or 404 that stands for it.
    fn find(&self, method: Method, path: &str) -> Found<S> {
        match self.router.find(Kind::Web, method, path) {
            Match::Found {
                entry,
                captures,
                index,
            } => Found::Handler(entry, captures, index),
            // Front ends leave the body of a HEAD away and keep its length.
            Match::MethodNotAllowed { allowed }
                if method == Method::Head && allowed.contains(&Method::Get) =>
            {
                self.find(Method::Get, path)
            }
            Match::MethodNotAllowed { allowed } => {
                let status = match method {
                    Method::Options if !allowed.is_empty() => Status::NO_CONTENT,
                    _ => Status::METHOD_NOT_ALLOWED,
                };
                let mut response = status.into_reply();
                response.headers_mut().insert(ALLOW, allow(&allowed));
                Found::Answer(response)
            }
            Match::NotFound => Found::Nothing,
        }
    }

    /// Makes the future of a handler, which runs the functions before it first.
    fn start(
        self: &Arc<Self>,
        entry: &'static Entry<S>,
        captures: Captures,
        message: Message,
        time_left: TimeLeft,
    ) -> RunningHandler<S> {
        let seen = (!self.hooks.after.is_empty()).then(|| message.clone());
        let cx = self
            .context(message, captures)
            .with_scope(time_left.scope().clone());
        let run = match self.hooks.before.is_empty() {
            true => (entry.handle)(cx),
            false => Box::pin(self.clone().guarded(entry, cx)),
        };
        RunningHandler {
            entry,
            run,
            time_left,
            seen,
            timer: None,
        }
    }

    async fn guarded(self: Arc<Self>, entry: &'static Entry<S>, cx: Context<S>) -> Response {
        for hook in &self.hooks.before {
            if let Err(answer) = hook(&cx).await {
                return answer;
            }
        }
        (entry.handle)(cx).await
    }

    /// Polls the handler once, and returns the response if that was enough. Otherwise [`run`](Self::run) goes on.
    fn run_inline(&self, dispatch: &mut Dispatch<S>) -> Option<http::Response<Body>> {
        let (running, preferences) = match dispatch {
            Dispatch::Handler(running, preferences) => (running, preferences),
            Dispatch::Answer(response, _) if !needs_finalizing(response) => {
                let response = std::mem::replace(&mut **response, Response::new(Status::OK));
                return Some(http_response(response));
            }
            _ => return None,
        };
        let handler = self.catching(running.entry, &mut running.run);
        let Poll::Ready(mut response) = poll_inline(&mut timed(&mut running.timer, handler)) else {
            return None;
        };
        self.conclude(running, &mut response);
        if needs_finalizing(&response) {
            *dispatch = Dispatch::Answer(Box::new(response), std::mem::take(preferences));
            return None;
        }
        Some(http_response(response))
    }

    /// Runs a request to its response. Rare cases are boxed, so that the future of the others stays small.
    async fn run(self: Arc<Self>, dispatch: Dispatch<S>) -> http::Response<Body> {
        let (response, preferences) = match dispatch {
            Dispatch::Handler(running, preferences) => (self.run_handler(running).await, preferences),
            Dispatch::Pending(pending, preferences) => {
                (Box::pin(self.run_pending(*pending)).await, preferences)
            }
            Dispatch::Answer(response, preferences) => (*response, preferences),
            Dispatch::Fallback(parts, preferences) => (Box::pin(self.fallback(*parts)).await, preferences),
            Dispatch::Mounted(service, request) => return service.respond(*request).await,
        };
        match needs_finalizing(&response) {
            true => http_response(Box::pin(self.finalize(response, preferences)).await),
            false => http_response(response),
        }
    }

    /// Takes a permit of the route, reads the body unless the handler streams it, and runs the handler.
    async fn run_pending(self: &Arc<Self>, pending: PendingRequest<S>) -> Response {
        let PendingRequest {
            entry,
            captures,
            mut message,
            body,
        } = pending;
        let limits = self.limits.of(entry.spec);
        let _permit: Permit<'_> = match acquire(limits) {
            Ok(permit) => permit,
            Err(busy) => return busy,
        };
        let limit = limits.and_then(|limits| limits.body).unwrap_or(self.body_limit);
        let time_left = match entry.streams {
            true => {
                let (time_left, reading) = TimeLeft::once_read(self.time(limits));
                message = message.with_extension(PendingBody::new(body, limit, reading));
                time_left
            }
            false => match body.collect(limit).await {
                Ok(body) => {
                    message = message.with_body(body);
                    TimeLeft::from_now(self.time(limits))
                }
                Err(error) => return refused_body(&error),
            },
        };
        if let Some(part) = limits.and_then(|limits| limits.part) {
            message = message.with_extension(part);
        }
        self.run_handler(self.start(entry, captures, message, time_left))
            .await
    }

    async fn run_handler(&self, mut running: RunningHandler<S>) -> Response {
        if let Some(timer) = &running.timer {
            timer.wake_others().await;
        }
        let RunningHandler {
            entry,
            run,
            time_left,
            timer,
            ..
        } = &mut running;
        let handler = timed(timer, self.catching(entry, run));
        let mut response = time_left.wait_for(entry.spec.name, handler).await;
        self.conclude(&running, &mut response);
        response
    }

    /// Ends the scope of a handler: delivers its cookies, and runs the functions after it.
    fn conclude(&self, running: &RunningHandler<S>, response: &mut Response) {
        running.time_left.scope().finish();
        self.deliver_cookies(running.time_left.scope(), response);
        if let Some(message) = &running.seen {
            let said = std::mem::replace(response, Response::new(Status::OK));
            let after = self.hooks.after.iter();
            *response = after.fold(said, |response, hook| hook(message, response));
        }
    }

    pub(super) fn deliver_cookies(&self, scope: &RequestScope, response: &mut Response) {
        if let Some(cookies) = scope.cookies() {
            cookies.apply_to(self.context.cookie_keys.as_ref(), response.headers_mut());
        }
    }
}

/// The same handler, with its polls timed if there is a timer.
fn timed<T>(
    timer: &mut Option<PollTimer>,
    mut handler: impl Future<Output = T> + Unpin,
) -> impl Future<Output = T> + Unpin {
    poll_fn(move |cx| match timer {
        Some(timer) => timer.poll(|| handler.poll_unpin(cx)),
        None => handler.poll_unpin(cx),
    })
}

fn refused_body(error: &BodyError) -> Response {
    let code = match error {
        BodyError::TooLarge => 413,
        BodyError::TimedOut => 408,
        BodyError::Broken(_) => 400,
    };
    Problem::new(code, error.reason()).into_reply()
}

/// The methods of a resource, and those it has without naming them.
fn allow(allowed: &[Method]) -> HeaderValue {
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
