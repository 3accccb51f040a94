//! From a message to its response: route, run the handler, catch what goes wrong.

use super::assembled::Assembled;
use super::limits::Limits;
use super::time::TimeLeft;
use crate::call::{Handled, ResponseHandlers};
use crate::context::Context;
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::reply::{IntoReply, Payload, Problem, Response};
use crate::route::{Captures, Entry, Match, Spec};
use crate::status::Status;
use crate::websocket::SocketSender;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{HeaderValue, RETRY_AFTER};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was asked and how it was answered, in one line each.
pub(super) const ACCESS: &str = "brubeck::access";

impl<S: Send + Sync + 'static> Assembled<S> {
    /// Answers a message of another application, and says so in one line; the route that it took comes first.
    pub(super) fn answer_service(
        self: Arc<Self>,
        message: Message,
    ) -> (Option<&'static Spec>, BoxFuture<'static, Response>) {
        let logged = tracing::enabled!(target: ACCESS, tracing::Level::INFO);
        let logged = logged.then(|| (Instant::now(), message.method(), message.path().to_owned()));
        let (kind, method) = (message.kind(), message.method());
        match self.router.find(kind, method, message.path()) {
            Match::Found { entry, captures } => {
                // Other applications say themselves how long they wait; clients of message sockets do not.
                let waits = message.extensions().get::<SocketSender>().is_none();
                let handled = (entry.handle)(self.context(message, captures));
                let answer = async move {
                    let response = self.within_limits(entry, handled, waits).await;
                    log(logged, &response);
                    response
                };
                (Some(entry.spec), Box::pin(answer))
            }
            Match::MethodNotAllowed { .. } => refused(logged, Status::METHOD_NOT_ALLOWED),
            Match::NotFound => refused(logged, Status::NOT_FOUND),
        }
    }

    /// What a handler answers, unless the limits of its route do not let it.
    async fn within_limits(
        &self,
        entry: &Entry<S>,
        handled: BoxFuture<'static, Response>,
        waits: bool,
    ) -> Response {
        let limits = self.limits.of(entry.spec);
        let time = match waits {
            true => limits.and_then(|limits| limits.time).flatten(),
            false => self.time(limits),
        };
        let answer = self.unwinding(entry.spec, async { self.templates.render(handled.await) });
        match (limits, time) {
            (None, None) => answer.await,
            // Boxed, so that the many handlers without limits need no room for this.
            _ => {
                let answer = TimeLeft::from_now(time).wait_for(entry.spec.name, answer);
                Box::pin(self.within(limits, answer)).await
            }
        }
    }

    pub(super) fn context(&self, message: Message, captures: Captures) -> Context<S> {
        Context::new(self.state.clone(), message, captures, self.lent.clone())
    }

    /// Runs a handler, after these hooks.
    pub(super) async fn run(
        &self,
        entry: &Entry<S>,
        cx: Context<S>,
        before: &[super::Erased<S>],
    ) -> Response {
        let handle = entry.handle;
        self.unwinding(entry.spec, async {
            for hook in before {
                if let Err(answer) = hook(&cx).await {
                    return self.templates.render(answer);
                }
            }
            self.templates.render(handle(cx).await)
        })
        .await
    }

    /// What a handler answers; 500 where it panics.
    async fn unwinding(&self, spec: &Spec, answer: impl Future<Output = Response>) -> Response {
        // What a handler leaves behind when it panics is only seen by itself: its state is behind the
        // locks of others, which know poisoning.
        AssertUnwindSafe(pin!(answer))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| {
                tracing::error!(
                    handler = spec.name,
                    panic = panic_text(&*panic),
                    "a handler panicked"
                );
                Status::INTERNAL_SERVER_ERROR.into_reply()
            })
    }

    /// The response, or 503 where the limits of the route do not let it be made.
    pub(super) async fn within(
        &self,
        limits: Option<&Limits>,
        response: impl Future<Output = Response>,
    ) -> Response {
        let Some(limits) = limits else {
            return response.await;
        };
        let _place = match limits.places.as_ref().map(|places| places.try_acquire()) {
            Some(Err(_)) => {
                let mut busy = Problem::new(503, "too many requests at once").into_reply();
                busy.headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("1"));
                return busy;
            }
            Some(Ok(place)) => Some(place),
            None => None,
        };
        response.await
    }

    /// How long a handler has until its answer.
    pub(super) fn time(&self, limits: Option<&Limits>) -> Option<Duration> {
        limits.and_then(|limits| limits.time).unwrap_or(self.time_limit)
    }
}

impl<S: Send + Sync + 'static> ResponseHandlers for Assembled<S> {
    fn handles(&self, path: &str) -> bool {
        matches!(
            self.router.find(Kind::Response, Method::Response, path),
            Match::Found { .. }
        )
    }

    fn respond(self: Arc<Self>, answer: Message) -> BoxFuture<'static, Option<Handled>> {
        Box::pin(async move {
            let path = answer.path().to_owned();
            let Match::Found { entry, captures } = self.router.find(Kind::Response, Method::Response, &path)
            else {
                return None;
            };
            let (status, _, payload) = self
                .run(entry, self.context(answer, captures), &[])
                .await
                .into_parts();
            match payload {
                Payload::Handed(value) => Some(Handled::new(value)),
                _ => {
                    tracing::warn!(path, %status, handler = entry.spec.name, "a response handler refused an answer");
                    None
                }
            }
        })
    }
}

/// When a message came, and what it asks for, where that is logged.
type Logged = Option<(Instant, Method, String)>;

fn log(logged: Logged, response: &Response) {
    if let Some((began, method, path)) = logged {
        tracing::info!(target: ACCESS, "{} {method} {path} in {:?}", response.status().code(), began.elapsed());
    }
}

fn refused(logged: Logged, status: Status) -> (Option<&'static Spec>, BoxFuture<'static, Response>) {
    let response = status.into_reply();
    log(logged, &response);
    (None, Box::pin(std::future::ready(response)))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
