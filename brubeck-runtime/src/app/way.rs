//! Where a request is to go: to a handler, to a mounted service, or nowhere.

use super::assembled::Assembled;
use super::dress::{Asked, needs_dress};
use super::time::TimeLeft;
use super::web::{Begun, Visit, timed_by};
use crate::extract::Captures;
use crate::handler::Timed;
use crate::message::{Message, RemoteAddr};
use crate::method::{Kind, Method};
use crate::response::http_response::http_response;
use crate::response::{Body, IntoReply, Problem, Response};
use crate::routing::{Entry, Match};
use crate::status::Status;
use futures_util::FutureExt;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http_body_util::Limited;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

/// The longest path and query that is looked at, in bytes.
const TARGET: usize = 8 * 1024;

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
            Found::Handler(entry, captures, index) => {
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
                        begun.timed = self.latency.get(index).filter(|_| timed).map(Timed::new);
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
}

/// Where a path and a method lead.
enum Found<S: 'static> {
    Handler(&'static Entry<S>, Captures, usize),
    Answer(Response),
    Nothing,
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
