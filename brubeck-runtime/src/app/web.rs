//! From an HTTP request to its response, within the layers.

use super::assembled::Assembled;
use super::dress::{Asked, needs_dress};
use super::limits::Limits;
use super::service::HttpService;
use super::time::TimeLeft;
use crate::connect::web::http_response;
use crate::context::Context;
use crate::cookie::Outbox;
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::reply::{Body, BodyError, IntoReply, Problem, Response};
use crate::route::{Captures, Entry, Match};
use crate::status::Status;
use crate::upload::Arriving;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, HOST, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http_body_util::Limited;
use std::pin::pin;
use std::sync::Arc;

/// The longest path and query that is looked at, in bytes.
const TARGET: usize = 8 * 1024;

/// The application without its layers.
pub(super) struct Site<S: 'static>(pub(super) Arc<Assembled<S>>);

impl<S: Send + Sync + 'static> HttpService for Site<S> {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let site = self.0.clone();
        match site.mounted(request.uri(), |prefix| !prefix.is_empty()) {
            Some((service, uri)) => Box::pin(async move { site.hand_over(&service, uri, request).await }),
            None => site.own(request),
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

    async fn hand_over(
        &self,
        service: &super::AppService,
        uri: Uri,
        request: http::Request<Body>,
    ) -> http::Response<Body> {
        let limit = self.body_limit;
        let mut request = match request.body().bytes() {
            Some(body) if body.len() <= limit => request,
            _ => request.map(|body| Body::new(Limited::new(body, limit))),
        };
        *request.uri_mut() = uri;
        service.respond(request).await
    }

    /// Looks for the route at once: what is found says what the future must hold, and a request is much to hand on.
    fn own(self: Arc<Self>, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let method = Method::from_http(request.method());
        let found = match method {
            Some(method) => self.find(method, request.uri().path()),
            None => Found::Answer(Problem::new(501, "this method is not known here").into_reply()),
        };
        if let Found::Nothing = found
            && self.hooks.fallback.is_none()
            && let Some((service, uri)) = self.mounted(request.uri(), str::is_empty)
        {
            return Box::pin(async move { self.hand_over(&service, uri, request).await });
        }
        let (parts, body) = request.into_parts();
        let asked = Asked::of(&parts, method, !self.hooks.catchers.is_empty());
        match self.refused(&parts).map_or(found, Found::Answer) {
            Found::Handler(entry, captures) => {
                let message = message(entry.spec.method, parts);
                Box::pin(async move {
                    let response = self.handled(entry, captures, message, body).await;
                    self.said(response, asked).await
                })
            }
            Found::Answer(response) => Box::pin(async move { self.said(response, asked).await }),
            Found::Nothing => Box::pin(async move {
                let response = self.fallback(parts).await;
                self.said(response, asked).await
            }),
        }
    }

    /// What is answered to a request that no handler is to see.
    fn refused(&self, parts: &Parts) -> Option<Response> {
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if target.len() > TARGET {
            return Some(Problem::new(414, "the address is too long").into_reply());
        }
        self.cross_site.forged(&parts.method, &parts.headers).then(|| {
            let path = parts.uri.path();
            tracing::warn!(path, "a request that another site started was refused");
            Problem::new(403, "another site has started this request").into_reply()
        })
    }

    /// The response as HTTP has it. Boxed where it is dressed, so that the others need no room for that.
    async fn said(&self, response: Response, asked: Asked) -> http::Response<Body> {
        match needs_dress(&response) {
            true => http_response(Box::pin(self.dress(response, asked)).await),
            false => http_response(response),
        }
    }

    fn find(&self, method: Method, path: &str) -> Found<S> {
        match self.router.find(Kind::Web, method, path) {
            Match::Found { entry, captures } => Found::Handler(entry, captures),
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

    async fn handled(
        &self,
        entry: &'static Entry<S>,
        captures: Captures,
        message: Message,
        body: Body,
    ) -> Response {
        let limits = self.limits.of(entry.spec);
        let answer = pin!(self.in_time(limits, entry, captures, message, body));
        match limits {
            None => answer.await,
            Some(_) => self.within(limits, answer).await,
        }
    }

    async fn in_time(
        &self,
        limits: Option<&Limits>,
        entry: &'static Entry<S>,
        captures: Captures,
        message: Message,
        body: Body,
    ) -> Response {
        let limit = limits.and_then(|limits| limits.body).unwrap_or(self.body_limit);
        let host = message.headers().get(HOST).cloned();
        let (time_left, message) = match entry.streams {
            true => {
                let (time_left, reading) = TimeLeft::once_read(self.time(limits));
                let arriving = Arriving::new(body, limit, reading);
                (time_left, message.with_extension(arriving))
            }
            false => match body.collect(limit).await {
                Ok(body) => (TimeLeft::from_now(self.time(limits)), message.with_body(body)),
                Err(error) => return refused_body(&error),
            },
        };
        let outbox = Outbox::default();
        let mut message = message.with_extension(outbox.clone());
        if let Some(deadline) = time_left.deadline() {
            message = message.with_extension(deadline);
        }
        if let Some(part) = limits.and_then(|limits| limits.part) {
            message = message.with_extension(part);
        }
        let seen = (!self.hooks.after.is_empty()).then(|| message.clone());
        let run = pin!(self.run(entry, self.context(message, captures), &self.hooks.before));
        let mut response = time_left.wait_for(entry.spec.name, run).await;
        outbox.deliver(self.keys.as_ref(), host.as_ref(), &mut response);
        if let Some(message) = seen {
            response = self
                .hooks
                .after
                .iter()
                .fold(response, |response, hook| hook(&message, response));
        }
        response
    }

    async fn fallback(&self, parts: Parts) -> Response {
        let Some(hook) = &self.hooks.fallback else {
            return Status::NOT_FOUND.into_reply();
        };
        let method = Method::from_http(&parts.method).unwrap_or(Method::Get);
        let host = parts.headers.get(HOST).cloned();
        let outbox = Outbox::default();
        let message = message(method, parts).with_extension(outbox.clone());
        let mut response = self
            .answer_of(hook, &self.context(message, Captures::default()))
            .await;
        outbox.deliver(self.keys.as_ref(), host.as_ref(), &mut response);
        response
    }

    /// What a hook answers, or 500 where it panics.
    pub(super) async fn answer_of(&self, hook: &super::Erased<S>, cx: &Context<S>) -> Response {
        use futures_util::FutureExt;
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
            .wait_for("(a fallback)", caught)
            .await
    }
}

/// Where a path and a method lead.
enum Found<S: 'static> {
    Handler(&'static Entry<S>, Captures),
    Answer(Response),
    Nothing,
}

/// A message without body; a HEAD that a GET answers is a GET to its handler.
pub(super) fn message(method: Method, parts: Parts) -> Message {
    let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut message = Message::web(method, target).with_headers(parts.headers);
    *message.extensions_mut() = parts.extensions;
    message
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
