//! Adapters for axum's extractors.

use super::{BodyUse, Context, FromMessage};
use crate::message::Message;
use crate::response::{Body, IntoReply, Problem, Response};
use axum_core::extract::{DefaultBodyLimit, FromRequest, FromRequestParts};
use axum_core::response::IntoResponse;
use http::Request;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use std::ops::{Deref, DerefMut};

/// Limit for the text of a rejection, in bytes. A longer one is left out.
const MAX_REASON_BYTES: usize = 4 << 10;

/// Extractor that wraps any [`FromRequestParts`] of axum, or of a crate made for axum.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Search { q: String }
///
/// #[get("^/search$")]
/// async fn search(query: Axum<axum::extract::Query<Search>>) -> String {
///     query.0.q.clone()
/// }
/// ```
///
/// The extractor runs with the state `()`. Extractors that need the matched route of an axum router reject, `MatchedPath` for example
/// with 500. For a value that may be missing, take `Axum<Option<T>>`. To serve a whole axum router, use [`App::mount`](crate::App::mount);
/// for an extractor that reads the body, [`AxumBody`].
///
/// Rejects with the status of the extractor: `Query`, for example, with 400. A reason in plain text becomes a [`Problem`], in the
/// format that the client prefers; any other response of the extractor is sent as it is.
///
/// Requires the feature `axum`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axum<T>(pub T);

/// Extractor that wraps any [`FromRequest`] of axum, which can read the body.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/shout$")]
/// async fn shout(text: AxumBody<String>) -> String {
///     text.to_uppercase()
/// }
/// ```
///
/// The extractor gets a copy of the request that shares the body, so several extractors can read the body. It runs with the state `()`. For
/// a value that may be missing, take `AxumBody<Option<T>>`.
///
/// The body has the limit of its [route](crate::Limits::body_limit), and not axum's default of 2 MB. What the extractor refuses with plain text
/// becomes a [`Problem`] with the same status, so it has the form of all other refusals. For an extractor that does not read the body,
/// use [`Axum`].
///
/// Requires the feature `axum`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AxumBody<T>(pub T);

macro_rules! deref {
    ($name:ident) => {
        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T> DerefMut for $name<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.0
            }
        }
    };
}

deref!(Axum);
deref!(AxumBody);

impl<S: Send + Sync + 'static, T: FromRequestParts<()>> FromMessage<S> for Axum<T> {
    type Rejection = Response;

    async fn from_message(cx: &Context<S>) -> Result<Axum<T>, Response> {
        let (mut parts, _) = request(cx.message()).into_parts();
        let rejection = match T::from_request_parts(&mut parts, &()).await {
            Ok(extracted) => return Ok(Axum(extracted)),
            Err(rejection) => rejection.into_response(),
        };
        Err(refusal(rejection).await)
    }
}

impl<S: Send + Sync + 'static, T: FromRequest<()>> FromMessage<S> for AxumBody<T> {
    type Rejection = Response;

    const BODY: BodyUse = BodyUse::Any;

    async fn from_message(cx: &Context<S>) -> Result<AxumBody<T>, Response> {
        let mut request = request(cx.message()).map(axum_core::body::Body::new);
        // The message is complete, so its size has been compared with the limit of its route already.
        DefaultBodyLimit::disable().apply(&mut request);
        let rejection = match T::from_request(request, &()).await {
            Ok(extracted) => return Ok(AxumBody(extracted)),
            Err(rejection) => rejection.into_response(),
        };
        Err(refusal(rejection).await)
    }
}

/// Converts a rejection of axum. A plain text becomes the detail of a problem, as in the product's own rejections. Anything else is left
/// as the extractor made it.
async fn refusal(rejection: axum_core::response::Response) -> Response {
    let (mut parts, body) = rejection.into_parts();
    let is_text = parts
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/plain"));
    if !is_text || !(parts.status.is_client_error() || parts.status.is_server_error()) {
        return http::Response::from_parts(parts, body).into_reply();
    }
    let text = Body::new(body)
        .collect(MAX_REASON_BYTES)
        .await
        .unwrap_or_default();
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    Problem::new(
        i32::from(parts.status.as_u16()),
        String::from_utf8_lossy(&text).into_owned(),
    )
    .into_reply()
    .with_headers(parts.headers)
}

fn request(message: &Message) -> Request<Body> {
    let mut request = Request::new(Body::from(message.body().clone()));
    // Every method has the name of an HTTP method, so parsing does not fail.
    *request.method_mut() = message.method().as_http().parse().unwrap_or_default();
    *request.uri_mut() = message.uri();
    *request.headers_mut() = message.headers().clone();
    *request.extensions_mut() = message.extensions().clone();
    request
}
