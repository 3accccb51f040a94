//! From an HTTP request to its response, within the layers.

use super::answer::place;
use super::assembled::Assembled;
use super::dress::{Asked, needs_dress};
use super::service::HttpService;
use super::time::TimeLeft;
use crate::connect::web::http_response;
use crate::context::Context;
use crate::cookie::Outbox;
use crate::errand::Errand;
use crate::message::{Message, RemoteAddr};
use crate::method::{Kind, Method};
use crate::quickness::{Quickness, Timed};
use crate::reply::{Body, BodyError, IntoReply, Problem, Response};
use crate::route::{self, Captures, Entry, Match};
use crate::status::Status;
use crate::upload::Arriving;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http_body_util::Limited;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

/// The longest path and query that is looked at, in bytes.
const TARGET: usize = 8 * 1024;

/// The application without its layers.
pub(super) struct Site<S: 'static>(pub(super) Arc<Assembled<S>>);

impl<S: Send + Sync + 'static> HttpService for Site<S> {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let site = self.0.clone();
        let way = site.way(request, None, false);
        Box::pin(site.go(way))
    }
}

/// What is done about a request.
pub(super) enum Way<S: 'static> {
    /// A handler answers it.
    Handler(Begun<S>, Asked),
    /// A handler answers it, once its route has room for it and its body is there.
    Visit(Box<Visit<S>>, Asked),
    /// It is answered already.
    Answer(Box<Response>, Asked),
    /// No route matches it.
    Nothing(Box<Parts>, Asked),
    /// A mounted service has it.
    Mounted(super::AppService, Box<http::Request<Body>>),
}

/// A request on its way to its handler.
pub(super) struct Visit<S: 'static> {
    entry: &'static Entry<S>,
    captures: Captures,
    message: Message,
    body: Body,
}

/// A handler that is about to run.
pub(super) struct Begun<S: 'static> {
    entry: &'static Entry<S>,
    run: route::BoxFuture,
    time_left: TimeLeft,
    /// The message, where a function wants to see it afterwards.
    seen: Option<Message>,
    timed: Option<Timed>,
}

impl<S> Way<S> {
    /// Whether the answer will be there quickly, as far as can be told.
    pub(super) fn is_quick(&self) -> bool {
        match self {
            Way::Handler(begun, _) => begun.timed.as_ref().is_some_and(Timed::is_quick),
            Way::Answer(..) => true,
            Way::Visit(..) | Way::Nothing(..) | Way::Mounted(..) => false,
        }
    }
}

impl<S: Send + Sync + 'static> Assembled<S> {
    /// The service below whose prefix this is, and what is left of it.
    fn mounted(&self, uri: &Uri, eligible: impl Fn(&str) -> bool) -> Option<(super::AppService, Uri)> {
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        self.mounts
            .iter()
            .filter(|(prefix, _)| eligible(prefix))
            .find_map(|(prefix, service)| {
                let rest = target.strip_prefix(prefix.as_str())?;
                let uri = match rest.chars().next() {
                    Some('/') => rest.parse().ok()?,
                    None | Some('?') => format!("/{rest}").parse().ok()?,
                    Some(_) => return None,
                };
                Some((service.clone(), uri))
            })
    }

    /// The request, as the service sees it that has this URI of its own.
    fn hand_over(
        &self,
        request: http::Request<Body>,
        uri: Uri,
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

    /// Looks for the route at once: what is found says what must be kept, and a request is much to hand on. `remote` is
    /// the peer, where the request does not say so itself. `timed`: how long the handler takes is to be known.
    pub(super) fn way(
        self: &Arc<Self>,
        request: http::Request<Body>,
        remote: Option<RemoteAddr>,
        timed: bool,
    ) -> Way<S> {
        if let Some((service, uri)) = self.mounted(request.uri(), |prefix| !prefix.is_empty()) {
            return Way::Mounted(service, self.hand_over(request, uri, remote));
        }
        let method = Method::from_http(request.method());
        let found = match method {
            Some(method) => self.find(method, request.uri().path()),
            None => Found::Answer(Problem::new(501, "this method is not known here").into_reply()),
        };
        if let Found::Nothing = found
            && self.hooks.fallback.is_none()
            && let Some((service, uri)) = self.mounted(request.uri(), str::is_empty)
        {
            return Way::Mounted(service, self.hand_over(request, uri, remote));
        }
        let found = self.refused(&request).map_or(found, Found::Answer);
        let (mut parts, body) = request.into_parts();
        let asked = Asked::of(&parts, method, remote, !self.hooks.catchers.is_empty());
        match found {
            Found::Handler(entry, captures, quickness) => {
                let message = Message::of_request(entry.spec.method, parts, remote);
                let whole = body.bytes().filter(|whole| whole.len() <= self.body_limit);
                match whole {
                    // Most requests wait for nothing, and are much to hand on.
                    Some(whole) if !entry.streams && self.limits.of(entry.spec).is_none() => {
                        let message = match whole.is_empty() {
                            true => message,
                            false => message.with_body(whole.clone()),
                        };
                        let time_left = TimeLeft::from_now(self.time_limit);
                        let mut begun = self.begin(entry, captures, message, time_left);
                        begun.timed = timed.then(|| Timed::new(quickness));
                        Way::Handler(begun, asked)
                    }
                    _ => {
                        let visit = Visit {
                            entry,
                            captures,
                            message,
                            body,
                        };
                        Way::Visit(Box::new(visit), asked)
                    }
                }
            }
            Found::Answer(response) => Way::Answer(Box::new(response), asked),
            Found::Nothing if self.hooks.fallback.is_none() => {
                Way::Answer(Box::new(Status::NOT_FOUND.into_reply()), asked)
            }
            Found::Nothing => {
                if let Some(remote) = remote {
                    parts.extensions.insert(remote);
                }
                Way::Nothing(Box::new(parts), asked)
            }
        }
    }

    /// The response, where that is there without waiting; otherwise the way is to be gone.
    pub(super) fn at_once(&self, way: &mut Way<S>) -> Option<http::Response<Body>> {
        let (begun, asked) = match way {
            Way::Handler(begun, asked) => (begun, asked),
            Way::Answer(response, _) if !needs_dress(response) => {
                let response = std::mem::replace(&mut **response, Response::new(Status::OK));
                return Some(http_response(response));
            }
            _ => return None,
        };
        // Whoever goes the way asks again, and then is told.
        let mut nobody = task::Context::from_waker(Waker::noop());
        let Poll::Ready(mut response) =
            timed_by(&mut begun.timed, self.catching(begun.entry, &mut begun.run)).poll_unpin(&mut nobody)
        else {
            return None;
        };
        self.conclude(begun, &mut response);
        if needs_dress(&response) {
            *way = Way::Answer(Box::new(response), std::mem::take(asked));
            return None;
        }
        Some(http_response(response))
    }

    /// Goes that way to the response. What is rare is boxed, so that the rest needs no room for it.
    pub(super) async fn go(self: Arc<Self>, way: Way<S>) -> http::Response<Body> {
        let (response, asked) = match way {
            Way::Handler(begun, asked) => (self.wait_for(begun).await, asked),
            Way::Visit(visit, asked) => (Box::pin(self.visit(*visit)).await, asked),
            Way::Answer(response, asked) => (*response, asked),
            Way::Nothing(parts, asked) => (Box::pin(self.fallback(*parts)).await, asked),
            Way::Mounted(service, request) => return service.respond(*request).await,
        };
        match needs_dress(&response) {
            true => http_response(Box::pin(self.dress(response, asked)).await),
            false => http_response(response),
        }
    }

    /// What is answered to a request that no handler is to see.
    fn refused(&self, request: &http::Request<Body>) -> Option<Response> {
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        if target.len() > TARGET {
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

    fn find(&self, method: Method, path: &str) -> Found<'_, S> {
        match self.router.find(Kind::Web, method, path) {
            Match::Found {
                entry,
                captures,
                quickness,
            } => Found::Handler(entry, captures, quickness),
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

    async fn visit(self: &Arc<Self>, visit: Visit<S>) -> Response {
        let Visit {
            entry,
            captures,
            mut message,
            body,
        } = visit;
        let limits = self.limits.of(entry.spec);
        let _place = match place(limits) {
            Ok(place) => place,
            Err(busy) => return busy,
        };
        let limit = limits.and_then(|limits| limits.body).unwrap_or(self.body_limit);
        let time_left = match entry.streams {
            true => {
                let (time_left, reading) = TimeLeft::once_read(self.time(limits));
                message = message.with_extension(Arriving::new(body, limit, reading));
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
        self.wait_for(self.begin(entry, captures, message, time_left))
            .await
    }

    fn begin(
        self: &Arc<Self>,
        entry: &'static Entry<S>,
        captures: Captures,
        message: Message,
        time_left: TimeLeft,
    ) -> Begun<S> {
        let seen = (!self.hooks.after.is_empty()).then(|| message.clone());
        let cx = self
            .context(message, captures)
            .with_errand(time_left.errand().clone());
        let run = match self.hooks.before.is_empty() {
            true => (entry.handle)(cx),
            false => Box::pin(self.clone().guarded(entry, cx)),
        };
        Begun {
            entry,
            run,
            time_left,
            seen,
            timed: None,
        }
    }

    /// Runs a handler after the functions before it.
    async fn guarded(self: Arc<Self>, entry: &'static Entry<S>, cx: Context<S>) -> Response {
        for hook in &self.hooks.before {
            if let Err(answer) = hook(&cx).await {
                return answer;
            }
        }
        (entry.handle)(cx).await
    }

    async fn wait_for(&self, mut begun: Begun<S>) -> Response {
        if let Some(timed) = &begun.timed {
            timed.wake_others().await;
        }
        let Begun {
            entry,
            run,
            time_left,
            timed,
            ..
        } = &mut begun;
        let run = timed_by(timed, self.catching(entry, run));
        let mut response = time_left.wait_for(entry.spec.name, run).await;
        self.conclude(&begun, &mut response);
        response
    }

    /// What is done to the response of every handler.
    fn conclude(&self, begun: &Begun<S>, response: &mut Response) {
        begun.time_left.errand().end();
        Outbox::deliver_of(begun.time_left.errand(), self.keys.as_ref(), response);
        if let Some(message) = &begun.seen {
            let said = std::mem::replace(response, Response::new(Status::OK));
            let after = self.hooks.after.iter();
            *response = after.fold(said, |response, hook| hook(message, response));
        }
    }

    async fn fallback(&self, parts: Parts) -> Response {
        let Some(hook) = &self.hooks.fallback else {
            return Status::NOT_FOUND.into_reply();
        };
        let method = Method::from_http(&parts.method).unwrap_or(Method::Get);
        let errand = Arc::new(Errand::default());
        let message = Message::of_request(method, parts, None);
        let cx = self
            .context(message, Captures::default())
            .with_errand(errand.clone());
        let mut response = self.answer_of(hook, &cx).await;
        Outbox::deliver_of(&errand, self.keys.as_ref(), &mut response);
        response
    }

    /// What a hook answers, or 500 where it panics.
    pub(super) async fn answer_of(&self, hook: &super::Erased<S>, cx: &Context<S>) -> Response {
        let answer = std::panic::AssertUnwindSafe(async {
            match hook(cx).await {
                Ok(()) => Status::NO_CONTENT.into_reply(),
                Err(answer) => self.templates.render(answer),
            }
        });
        let caught = answer.catch_unwind().map(|answer| {
            answer.unwrap_or_else(|_| {
                tracing::error!(path = cx.message().path(), "a fallback panicked");
                Status::INTERNAL_SERVER_ERROR.into_reply()
            })
        });
        TimeLeft::from_now(self.time_limit)
            .wait_for("(a fallback)", std::pin::pin!(caught))
            .await
    }
}

/// The same run, timed where that is wanted.
fn timed_by<T>(
    timed: &mut Option<Timed>,
    mut run: impl Future<Output = T> + Unpin,
) -> impl Future<Output = T> + Unpin {
    poll_fn(move |cx| match timed {
        Some(timed) => timed.poll(|| run.poll_unpin(cx)),
        None => run.poll_unpin(cx),
    })
}

/// Where a path and a method lead.
enum Found<'a, S: 'static> {
    Handler(&'static Entry<S>, Captures, &'a Arc<Quickness>),
    Answer(Response),
    Nothing,
}

fn refused_body(error: &BodyError) -> Response {
    let code = match error {
        BodyError::TooLarge => 413,
        BodyError::TimedOut => 408,
        BodyError::Broken(_) => 400,
    };
    Problem::new(code, error.to_string()).into_reply()
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
