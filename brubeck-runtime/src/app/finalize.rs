//! Completes responses of handlers and of the router: opens files, runs catchers, and renders error pages. Also runs the fallback.

use super::handlers::HookContext;
use super::hook::HookId;
use super::inner::AppInner;
use super::limits::ResponseTimeout;
use crate::extract::Captures;
use crate::message::Message;
use crate::method::Method;
use crate::peer::WebClient;
use crate::response::{IntoReply, Payload, Problem, ProblemFormat, Response};
use crate::scope::RequestScope;
use crate::status::Status;
use futures_util::FutureExt;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use http::request::Parts;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The part of a request that decides the form of its response.
#[derive(Default)]
pub(super) struct ResponsePreferences {
    /// The headers for content negotiation, and those for ranges and conditional requests of files. A list: most requests
    /// have one or two, and building a `HeaderMap` for them is only worth its cost if the response needs them.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The request without its body, for catchers. `None` if the application has no catchers.
    message: Option<Message>,
    #[cfg_attr(not(feature = "files"), allow(dead_code))]
    is_head: bool,
}

impl ResponsePreferences {
    #[inline]
    pub(super) fn new(
        parts: &Parts,
        method: Option<Method>,
        client: WebClient,
        keep_message: bool,
    ) -> ResponsePreferences {
        let selects_file_part = |name: &HeaderName| {
            cfg!(feature = "files") && (name.as_str().starts_with("if-") || *name == RANGE)
        };
        let headers = parts
            .headers
            .iter()
            .filter(|(name, _)| **name == ACCEPT || **name == CONTENT_TYPE || selects_file_part(name));
        ResponsePreferences {
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            // The method of this message is only for the extractors of a catcher. For an unknown method, which got a 501, it is GET.
            message: keep_message
                .then(|| Message::from_request_parts(method.unwrap_or(Method::Get), parts.clone(), client)),
            is_head: parts.method == http::Method::HEAD,
        }
    }
}

/// Returns `true` if [`finalize`](AppInner::finalize) would change the response.
#[inline]
pub(super) fn needs_finalizing(response: &Response) -> bool {
    match response.payload() {
        Payload::Message => is_error(response),
        Payload::Problem(_) => true,
        Payload::Stream(body) => body.is_endless(),
        #[cfg(feature = "files")]
        Payload::File(_) => true,
        _ => false,
    }
}

#[inline]
fn is_error(response: &Response) -> bool {
    response.status().http().as_u16() >= 400
}

/// Returns `false` for an error that has to be rendered.
fn has_body(response: &Response) -> bool {
    !matches!(response.payload(), Payload::Message | Payload::Problem(_))
}

/// Opens the file of a response. Returns any other response unchanged.
#[cfg_attr(not(feature = "files"), allow(unused_variables))]
async fn open_file(response: Response, request_headers: &HeaderMap, is_head: bool) -> Response {
    #[cfg(feature = "files")]
    return super::file_response::resolve(response, request_headers, is_head).await;
    #[cfg(not(feature = "files"))]
    response
}

impl AppInner {
    /// Opens the file of a response. Renders an error without a body, such as that of a missing file: with the catcher of its
    /// status code, or else in the format that the client prefers, HTML with a template if there is one. Returns any other
    /// response unchanged.
    pub(super) async fn finalize(&self, response: Response, preferences: ResponsePreferences) -> Response {
        let request_headers = HeaderMap::from_iter(preferences.headers);
        let is_head = preferences.is_head;
        let response = open_file(response, &request_headers, is_head).await;
        let problem = match response.payload() {
            Payload::Message if is_error(&response) => Problem::from(response.status().clone()),
            Payload::Problem(problem) if self.handlers.settings().development => (**problem).clone(),
            Payload::Problem(problem) => (**problem).clone().without_cause(),
            _ => return self.end_with_drain(response),
        };
        let code = response.status().http().as_u16();
        let page = match self.run_catcher(code, preferences.message).await {
            // A file is the page of the error, whatever the client asks of it: it keeps the status of the error.
            Some(caught) => Some(open_file(caught, &request_headers, is_head).await),
            None => None,
        };
        let page = match page.filter(has_body) {
            Some(caught) => caught,
            None => self.render_problem(&problem, ProblemFormat::negotiate(&request_headers)),
        };
        // The headers of the original response stay, such as `allow` and `set-cookie`; its media type does not.
        let (_, mut headers, _) = response.into_parts();
        headers.remove(CONTENT_TYPE);
        page.with_headers(headers)
    }

    /// Ends a body that has no end of its own when the application drains.
    fn end_with_drain(&self, response: Response) -> Response {
        response.map_stream(|body| {
            let mut draining = self.draining.subscribe();
            body.until(async move {
                // An error means that the application has been dropped.
                let _ = draining.wait_for(|draining| *draining).await;
            })
        })
    }

    /// Runs the fallback hook for a request without a route.
    pub(super) async fn run_fallback(&self, parts: Parts) -> Response {
        let Some(hook) = self.hooks.fallback else {
            return Status::NOT_FOUND.into_reply();
        };
        let method = Method::from_http(&parts.method).unwrap_or(Method::Get);
        let scope = Arc::new(RequestScope::default());
        let message = Message::from_request_parts(method, parts, WebClient::default());
        let cx = self
            .handlers
            .hook_context(message, Captures::default(), scope.clone());
        let mut response = self.run_hook(hook, &*cx).await;
        self.save_session(&scope, "(fallback)").await;
        self.apply_cookies(&scope, &mut response, "(fallback)");
        response
    }

    /// Runs a fallback or a catcher, with the timeout of the application. A panic becomes a 500 response.
    async fn run_hook(&self, hook: HookId, cx: &dyn HookContext) -> Response {
        let responding = AssertUnwindSafe(async {
            match cx.run(hook).await {
                // A hook from `erase_responder` never returns `Ok`.
                Ok(()) => Status::NO_CONTENT.into_reply(),
                Err(response) => self.environment.templates.render(response),
            }
        });
        let responding = responding.catch_unwind().map(|outcome| {
            outcome.unwrap_or_else(|_| {
                tracing::error!(path = cx.message().path(), "fallback or catcher panicked");
                Status::INTERNAL_SERVER_ERROR.into_reply()
            })
        });
        ResponseTimeout::from_first_wait(self.timeout)
            .run("(fallback or catcher)", std::pin::pin!(responding))
            .await
    }

    /// Runs the catcher of a status code. Returns `None` if the code has no catcher. The response has the status code, unless it is
    /// another error.
    async fn run_catcher(&self, code: u16, message: Option<Message>) -> Option<Response> {
        let (_, hook) = *self.hooks.catchers.iter().find(|(caught, _)| *caught == code)?;
        let scope = Arc::new(RequestScope::default());
        let cx = self
            .handlers
            .hook_context(message?, Captures::default(), scope.clone());
        let mut response = self.run_hook(hook, &*cx).await;
        self.save_session(&scope, "(catcher)").await;
        self.apply_cookies(&scope, &mut response, "(catcher)");
        if !is_error(&response) {
            // A catcher renders the page and need not repeat the status.
            response = response.with_status(i32::from(code));
        }
        Some(response)
    }

    fn render_problem(&self, problem: &Problem, format: ProblemFormat) -> Response {
        let page = match format {
            ProblemFormat::Html => self.environment.templates.error_page(problem),
            ProblemFormat::Json | ProblemFormat::Text => None,
        };
        match page {
            Some(page) => Response::html(problem.status().clone(), page),
            None => problem.render(format),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::app::App;
    use crate::response::Body;
    use crate::routing::table;
    use crate::session::{Cookie, Cookies};

    #[tokio::test]
    async fn cookies_of_a_catcher_are_sent() {
        async fn nothing_here(cookies: Cookies) -> &'static str {
            cookies.set(Cookie::new("lost", "yes"));
            "nothing here"
        }
        let app = App::new(table::<()>(&[]), ()).catch(404, nothing_here);
        let service = app.into_service().unwrap();
        let response = service.respond(http::Request::new(Body::empty())).await;
        assert_eq!(response.status(), 404);
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.starts_with("lost=yes;"), "{cookie}");
    }
}
