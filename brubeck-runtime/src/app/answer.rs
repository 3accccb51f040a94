//! From a message to its response: route, run the handler, catch what goes wrong.

use super::assembled::Assembled;
use super::limits::Limits;
use super::time::TimeLeft;
use crate::call::{Handled, ResponseHandlers};
use crate::context::Context;
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::reply::{IntoReply, Payload, Problem, Response};
use crate::route::{Captures, Match};
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
    /// Answers a message of another application, and says so in one line.
    pub(super) async fn answer_service(self: Arc<Self>, message: Message) -> Response {
        let logged = tracing::enabled!(target: ACCESS, tracing::Level::INFO);
        let began = logged.then(|| (Instant::now(), message.path().to_owned()));
        let (kind, method) = (message.kind(), message.method());
        let response = match self.router.find(kind, method, message.path()) {
            Match::Found { entry, captures } => {
                let limits = self.limits.of(entry.spec);
                // Other applications say themselves how long they wait; clients of message sockets do not.
                let time = match message.known::<SocketSender>() {
                    Some(_) => self.time(limits),
                    None => limits.and_then(|limits| limits.time).flatten(),
                };
                let mut run = (entry.handle)(self.context(message, captures));
                let run = self.catching(entry, &mut run);
                match (limits, time) {
                    (None, None) => run.await,
                    // Boxed, so that the many handlers without limits need no room for this.
                    _ => {
                        let run = async {
                            let _place = match place(limits) {
                                Ok(place) => place,
                                Err(busy) => return busy,
                            };
                            TimeLeft::from_now(time).wait_for(entry.spec.name, run).await
                        };
                        Box::pin(run).await
                    }
                }
            }
            Match::MethodNotAllowed { .. } => Status::METHOD_NOT_ALLOWED.into_reply(),
            Match::NotFound => Status::NOT_FOUND.into_reply(),
        };
        if let Some((began, path)) = began {
            tracing::info!(target: ACCESS, "{} {method} {path} in {:?}", response.status().code(), began.elapsed());
        }
        response
    }

    pub(super) fn context(&self, message: Message, captures: Captures) -> Context<S> {
        Context::new(self.state.clone(), message, captures, self.lent.clone())
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
