//! What finishes a response: the fallback, the page of an error, and the part of a file that the client wants.

use super::hook::Erased;
use super::inner::AppInner;
use super::limits::TimeLeft;
use crate::extract::{Captures, Context};
use crate::message::{Message, RemoteAddr};
use crate::method::Method;
use crate::response::{IntoReply, Payload, Problem, ProblemFormat, Response};
use crate::scope::RequestScope;
use crate::status::Status;
use futures_util::FutureExt;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use http::request::Parts;
use std::sync::Arc;

/// The part of a request that says in which form its client wants the response.
#[derive(Default)]
pub(super) struct ResponsePreferences {
    /// The headers that say in which form it wants an error, which part of a file, and what it has of that.
    wants: Vec<(HeaderName, HeaderValue)>,
    /// The request without its body, where a function may want to see it.
    spare: Option<Message>,
    #[cfg_attr(not(feature = "files"), allow(dead_code))]
    head: bool,
}

impl ResponsePreferences {
    pub(super) fn of(
        parts: &Parts,
        method: Option<Method>,
        remote: Option<RemoteAddr>,
        spare: bool,
    ) -> ResponsePreferences {
        let conditional = |name: &HeaderName| {
            cfg!(feature = "files") && (name.as_str().starts_with("if-") || *name == RANGE)
        };
        let wants = parts
            .headers
            .iter()
            .filter(|(name, _)| **name == ACCEPT || **name == CONTENT_TYPE || conditional(name));
        ResponsePreferences {
            wants: wants.map(|(name, value)| (name.clone(), value.clone())).collect(),
            spare: spare
                .then(|| Message::from_request_parts(method.unwrap_or(Method::Get), parts.clone(), remote)),
            head: parts.method == http::Method::HEAD,
        }
    }
}

/// Returns whether [`finalize`](AppInner::finalize) has anything to do.
pub(super) fn needs_finalizing(response: &Response) -> bool {
    match response.payload() {
        Payload::Message => response.status().http().as_u16() >= 400,
        Payload::Problem(_) => true,
        #[cfg(feature = "files")]
        Payload::File(_) => true,
        _ => false,
    }
}

impl<S: Send + Sync + 'static> AppInner<S> {
    pub(super) async fn finalize(&self, response: Response, preferences: ResponsePreferences) -> Response {
        let wants = HeaderMap::from_iter(preferences.wants);
        #[cfg(feature = "files")]
        let response = super::file_response::resolve(response, &wants, preferences.head).await;
        let problem = match response.payload() {
            Payload::Message if response.status().http().as_u16() >= 400 => {
                Problem::of(response.status().clone())
            }
            Payload::Problem(problem) => (**problem).clone(),
            _ => return response,
        };
        let code = response.status().http().as_u16();
        let dressed = match self.caught(code, preferences.spare).await {
            Some(caught) => caught,
            None => self.shown(&problem, ProblemFormat::negotiate(&wants)),
        };
        let (_, mut headers, _) = response.into_parts();
        headers.remove(CONTENT_TYPE);
        dressed.with_headers(headers)
    }

    pub(super) async fn fallback(&self, parts: Parts) -> Response {
        let Some(hook) = &self.hooks.fallback else {
            return Status::NOT_FOUND.into_reply();
        };
        let method = Method::from_http(&parts.method).unwrap_or(Method::Get);
        let scope = Arc::new(RequestScope::default());
        let message = Message::from_request_parts(method, parts, None);
        let cx = self
            .context(message, Captures::default())
            .with_scope(scope.clone());
        let mut response = self.answer_of(hook, &cx).await;
        self.deliver_cookies(&scope, &mut response);
        response
    }

    /// What a hook answers, or 500 where it panics.
    pub(super) async fn answer_of(&self, hook: &Erased<S>, cx: &Context<S>) -> Response {
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
        TimeLeft::from_now(self.timeout)
            .wait_for("(a fallback)", std::pin::pin!(caught))
            .await
    }

    async fn caught(&self, code: u16, spare: Option<Message>) -> Option<Response> {
        let (_, hook) = self.hooks.catchers.iter().find(|(known, _)| *known == code)?;
        let response = self
            .answer_of(hook, &self.context(spare?, Captures::default()))
            .await;
        let says_error = response.status().http().as_u16() >= 400;
        let bare = matches!(response.payload(), Payload::Message | Payload::Problem(_));
        match (says_error, bare) {
            (true, true) => None,
            (true, false) => Some(response),
            (false, _) => Some(response.with_status(i32::from(code))),
        }
    }

    fn shown(&self, problem: &Problem, form: ProblemFormat) -> Response {
        let page = match form {
            ProblemFormat::Html => self
                .templates
                .error(problem.status().http().as_u16(), problem.template_context()),
            ProblemFormat::Json | ProblemFormat::Text => None,
        };
        match page {
            Some(page) => Response::html(problem.status().clone(), page),
            None => problem.render(form),
        }
    }
}
