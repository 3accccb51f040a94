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
use futures_util::future::BoxFuture;
use http::header::{HeaderValue, RETRY_AFTER};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::SemaphorePermit;

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
            Match::Found { entry, captures, .. } => {
                // Other applications say themselves how long they wait; clients of message sockets do not.
                let waits = message.known::<SocketSender>().is_none();
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
        mut handled: BoxFuture<'static, Response>,
        waits: bool,
    ) -> Response {
        let limits = self.limits.of(entry.spec);
        let time = match waits {
            true => limits.and_then(|limits| limits.time).flatten(),
            false => self.time(limits),
        };
        let answer = self.catching(entry, &mut handled);
        match (limits, time) {
            (None, None) => answer.await,
            // Boxed, so that the many handlers without limits need no room for this.
            _ => {
                let answer = async {
                    let _place = match place(limits) {
                        Ok(place) => place,
                        Err(busy) => return busy,
                    };
                    TimeLeft::from_now(time).wait_for(entry.spec.name, answer).await
                };
                Box::pin(answer).await
            }
        }
    }

    pub(super) fn context(&self, message: Message, captures: Captures) -> Context<S> {
        Context::new(self.around.clone(), message, captures)
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
            let Match::Found { entry, captures, .. } =
                self.router.find(Kind::Response, Method::Response, &path)
            else {
                return None;
            };
            let mut run = (entry.handle)(self.context(answer, captures));
            let (status, _, payload) = self.catching(entry, &mut run).await.into_parts();
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

/// The place of a request among those that its route works on at once, or 503 where there is none.
pub(super) fn place(limits: Option<&Limits>) -> Result<Option<SemaphorePermit<'_>>, Response> {
    let Some(places) = limits.and_then(|limits| limits.places.as_ref()) else {
        return Ok(None);
    };
    places.try_acquire().map(Some).map_err(|_| {
        let mut busy = Problem::new(503, "too many requests at once").into_reply();
        busy.headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        busy
    })
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
