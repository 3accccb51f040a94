//! From an HTTP request to its response, within the layers.

use super::answer::place;
use super::assembled::Assembled;
use super::time::TimeLeft;
use super::tower::HttpService;
use crate::extract::Arriving;
use crate::extract::Captures;
use crate::extract::Context;
use crate::handler::Timed;
use crate::message::Message;
use crate::method::Method;
use crate::response::{Body, BodyError, IntoReply, Problem, Response};
use crate::routing;
use crate::routing::Entry;
use crate::scope::RequestScope;
use crate::status::Status;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::request::Parts;
use std::future::poll_fn;
use std::sync::Arc;

/// The application without its layers.
pub(super) struct Site<S: 'static>(pub(super) Arc<Assembled<S>>);

impl<S: Send + Sync + 'static> HttpService for Site<S> {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let site = self.0.clone();
        let way = site.way(request, None, false);
        Box::pin(site.go(way))
    }
}

/// A request on its way to its handler.
pub(super) struct Visit<S: 'static> {
    pub(super) entry: &'static Entry<S>,
    pub(super) captures: Captures,
    pub(super) message: Message,
    pub(super) body: Body,
}

/// A handler that is about to run.
pub(super) struct Begun<S: 'static> {
    pub(super) entry: &'static Entry<S>,
    pub(super) run: routing::BoxFuture,
    time_left: TimeLeft,
    /// The message, where a function wants to see it afterwards.
    seen: Option<Message>,
    pub(super) timed: Option<Timed>,
}

impl<S: Send + Sync + 'static> Assembled<S> {
    pub(super) async fn visit(self: &Arc<Self>, visit: Visit<S>) -> Response {
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

    pub(super) fn begin(
        self: &Arc<Self>,
        entry: &'static Entry<S>,
        captures: Captures,
        message: Message,
        time_left: TimeLeft,
    ) -> Begun<S> {
        let seen = (!self.hooks.after.is_empty()).then(|| message.clone());
        let cx = self
            .context(message, captures)
            .with_scope(time_left.scope().clone());
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

    pub(super) async fn wait_for(&self, mut begun: Begun<S>) -> Response {
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
    pub(super) fn conclude(&self, begun: &Begun<S>, response: &mut Response) {
        begun.time_left.scope().end();
        self.deliver_cookies(begun.time_left.scope(), response);
        if let Some(message) = &begun.seen {
            let said = std::mem::replace(response, Response::new(Status::OK));
            let after = self.hooks.after.iter();
            *response = after.fold(said, |response, hook| hook(message, response));
        }
    }

    /// Tells the browser which cookies the handler wants it to keep.
    fn deliver_cookies(&self, scope: &RequestScope, response: &mut Response) {
        if let Some(cookies) = scope.cookies() {
            cookies.deliver(self.keys.as_ref(), response.headers_mut());
        }
    }

    pub(super) async fn fallback(&self, parts: Parts) -> Response {
        let Some(hook) = &self.hooks.fallback else {
            return Status::NOT_FOUND.into_reply();
        };
        let method = Method::from_http(&parts.method).unwrap_or(Method::Get);
        let scope = Arc::new(RequestScope::default());
        let message = Message::of_request(method, parts, None);
        let cx = self
            .context(message, Captures::default())
            .with_scope(scope.clone());
        let mut response = self.answer_of(hook, &cx).await;
        self.deliver_cookies(&scope, &mut response);
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
pub(super) fn timed_by<T>(
    timed: &mut Option<Timed>,
    mut run: impl Future<Output = T> + Unpin,
) -> impl Future<Output = T> + Unpin {
    poll_fn(move |cx| match timed {
        Some(timed) => timed.poll(|| run.poll_unpin(cx)),
        None => run.poll_unpin(cx),
    })
}

fn refused_body(error: &BodyError) -> Response {
    let code = match error {
        BodyError::TooLarge => 413,
        BodyError::TimedOut => 408,
        BodyError::Broken(_) => 400,
    };
    Problem::new(code, error.to_string()).into_reply()
}
