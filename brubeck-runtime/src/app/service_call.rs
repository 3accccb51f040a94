//! A call of another application, from its message to its response: route, run the handler, catch its panic.

use super::inner::{ACCESS, AppInner};
use super::limits::{TimeLeft, acquire};
use crate::handler::{CallFuture, CatchPanic};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::response::{IntoReply, Payload, Response};
use crate::routing::{Entry, Match};
use crate::rpc::api::{Handled, ResponseHandlers};
use crate::spec::Spec;
use crate::status::Status;
use crate::websocket::SocketSender;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<S: Send + Sync + 'static> AppInner<S> {
    /// Answers a message of another application, and says so in one line; the route that it took comes first.
    pub(super) fn answer_service(self: Arc<Self>, message: Message) -> (Option<&'static Spec>, CallFuture) {
        let logged = tracing::enabled!(target: ACCESS, tracing::Level::INFO);
        let logged = logged.then(|| (Instant::now(), message.method(), message.path().to_owned()));
        let (kind, method) = (message.kind(), message.method());
        match self.router.find(kind, method, message.path()) {
            Match::Found { entry, captures, .. } => {
                let limits = self.limits.of(entry.spec);
                // Other applications say themselves how long they wait; clients of message sockets do not.
                let time = match message.extension::<SocketSender>() {
                    None => limits.and_then(|limits| limits.time).flatten(),
                    Some(_) => self.time(limits),
                };
                let run = (entry.handle)(self.context(message, captures));
                let handler = CatchPanic::new(entry.spec.name, run, self.templates.clone());
                let called = match (limits, time, &logged) {
                    (None, None, None) => CallFuture(Either::Left(handler)),
                    // Boxed, so that the many handlers with nothing around them need no room for this.
                    _ => CallFuture(Either::Right(
                        self.within_limits(entry, handler, time, logged).boxed(),
                    )),
                };
                (Some(entry.spec), called)
            }
            Match::MethodNotAllowed { .. } => refused(logged, Status::METHOD_NOT_ALLOWED),
            Match::NotFound => refused(logged, Status::NOT_FOUND),
        }
    }

    /// What a handler answers, unless the limits of its route do not let it; and a line about it.
    async fn within_limits(
        self: Arc<Self>,
        entry: &'static Entry<S>,
        handler: impl Future<Output = Response> + Unpin,
        time: Option<Duration>,
        logged: Logged,
    ) -> Response {
        let response = match acquire(self.limits.of(entry.spec)) {
            Ok(_permit) => TimeLeft::from_now(time).wait_for(entry.spec.name, handler).await,
            Err(busy) => busy,
        };
        log(logged, &response);
        response
    }
}

impl<S: Send + Sync + 'static> ResponseHandlers for AppInner<S> {
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
                Payload::HandlerValue(value) => Some(value),
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

fn refused(logged: Logged, status: Status) -> (Option<&'static Spec>, CallFuture) {
    let response = status.into_reply();
    log(logged, &response);
    (None, CallFuture(Either::Right(ready(response).boxed())))
}
