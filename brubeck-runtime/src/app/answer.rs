//! From a message to its response: route, run the handler, catch what goes wrong, say one line.

use super::Assembled;
use crate::call::{Handled, ResponseHandlers};
use crate::context::Context;
use crate::message::{Message, RemoteAddr};
use crate::method::{Kind, Method};
use crate::reply::{IntoReply, Payload, Response};
use crate::route::Match;
use crate::status::Status;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, HeaderValue};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

impl<S: Send + Sync + 'static> Assembled<S> {
    pub(super) async fn answer_any(self: Arc<Self>, message: Message) -> Response {
        let began = Instant::now();
        let (method, path) = (message.method(), message.path().to_owned());
        let remote = message.extensions().get::<RemoteAddr>().copied();
        let response = self.routed(message).await;
        tracing::info!(
            target: "brubeck::access",
            remote = remote.map(tracing::field::display),
            "{} {method} {path} in {:?}", response.status().code(), began.elapsed()
        );
        response
    }

    async fn routed(&self, message: Message) -> Response {
        let (kind, method) = (message.kind(), message.method());
        let web = kind == Kind::Web;
        match self.router.find(kind, method, message.path()) {
            Match::Found { entry, captures } => self.run(entry.handle, message, captures).await,
            Match::MethodNotAllowed { allowed }
                if web && method == Method::Head && allowed.contains(&Method::Get) =>
            {
                match self.router.find(kind, Method::Get, message.path()) {
                    // Connections leave the body of a HEAD away and keep its length.
                    Match::Found { entry, captures } => {
                        self.run(entry.handle, message.with_method(Method::Get), captures)
                            .await
                    }
                    _ => Status::METHOD_NOT_ALLOWED.into_reply(),
                }
            }
            Match::MethodNotAllowed { allowed } if web => {
                let status = match method {
                    Method::Options if !allowed.is_empty() => Status::NO_CONTENT,
                    _ => Status::METHOD_NOT_ALLOWED,
                };
                let mut response = status.into_reply();
                response.headers_mut().insert(ALLOW, allow(&allowed));
                response
            }
            Match::MethodNotAllowed { .. } => Status::METHOD_NOT_ALLOWED.into_reply(),
            Match::NotFound => Status::NOT_FOUND.into_reply(),
        }
    }

    async fn run(
        &self,
        handle: crate::route::HandlerFn<S>,
        message: Message,
        captures: crate::route::Captures,
    ) -> Response {
        let (method, path) = (message.method(), message.path().to_owned());
        let cx = Context::new(self.state.clone(), message, captures, self.lent.clone());
        // What a handler leaves behind when it panics is only seen by itself: its state is behind the
        // locks of others, which know poisoning.
        let caught = AssertUnwindSafe(async { self.templates.render(handle(cx).await) })
            .catch_unwind()
            .await;
        caught.unwrap_or_else(|panic| {
            tracing::error!(%method, path, panic = panic_text(&*panic), "a handler panicked");
            Status::INTERNAL_SERVER_ERROR.into_reply()
        })
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
            let (status, _, payload) = self.run(entry.handle, answer, captures).await.into_parts();
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

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
