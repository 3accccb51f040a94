//! Errors without a page of their own, and files, as this client wants them.

use super::assembled::Assembled;
use crate::extract::Captures;
use crate::message::{Message, RemoteAddr};
use crate::method::Method;
use crate::response::{Form, Payload, Problem, Response};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use http::request::Parts;

/// What must be known of a request once its handler has it.
#[derive(Default)]
pub(super) struct Asked {
    /// The headers that say in which form it wants an error, which part of a file, and what it has of that.
    wants: Vec<(HeaderName, HeaderValue)>,
    /// The request without its body, where a function may want to see it.
    spare: Option<Message>,
    #[cfg_attr(not(feature = "files"), allow(dead_code))]
    head: bool,
}

impl Asked {
    pub(super) fn of(
        parts: &Parts,
        method: Option<Method>,
        remote: Option<RemoteAddr>,
        spare: bool,
    ) -> Asked {
        let conditional = |name: &HeaderName| {
            cfg!(feature = "files") && (name.as_str().starts_with("if-") || *name == RANGE)
        };
        let wants = parts
            .headers
            .iter()
            .filter(|(name, _)| **name == ACCEPT || **name == CONTENT_TYPE || conditional(name));
        Asked {
            wants: wants.map(|(name, value)| (name.clone(), value.clone())).collect(),
            spare: spare.then(|| Message::of_request(method.unwrap_or(Method::Get), parts.clone(), remote)),
            head: parts.method == http::Method::HEAD,
        }
    }
}

/// Whether anything is done to this response before it is sent.
pub(super) fn needs_dress(response: &Response) -> bool {
    match response.payload() {
        Payload::Message => response.status().http().as_u16() >= 400,
        Payload::Problem(_) => true,
        #[cfg(feature = "files")]
        Payload::File(_) => true,
        _ => false,
    }
}

impl<S: Send + Sync + 'static> Assembled<S> {
    pub(super) async fn dress(&self, response: Response, asked: Asked) -> Response {
        let wants = HeaderMap::from_iter(asked.wants);
        #[cfg(feature = "files")]
        let response = super::file::resolve(response, &wants, asked.head).await;
        let problem = match response.payload() {
            Payload::Message if response.status().http().as_u16() >= 400 => {
                Problem::of(response.status().clone())
            }
            Payload::Problem(problem) => (**problem).clone(),
            _ => return response,
        };
        let code = response.status().http().as_u16();
        let dressed = match self.caught(code, asked.spare).await {
            Some(caught) => caught,
            None => self.shown(&problem, Form::preferred(&wants)),
        };
        let (_, mut headers, _) = response.into_parts();
        headers.remove(CONTENT_TYPE);
        dressed.with_headers(headers)
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

    fn shown(&self, problem: &Problem, form: Form) -> Response {
        let page = match form {
            Form::Html => self
                .templates
                .error(problem.status().http().as_u16(), problem.context()),
            Form::Json | Form::Text => None,
        };
        match page {
            Some(page) => Response::html(problem.status().clone(), page),
            None => problem.shown(form),
        }
    }
}
