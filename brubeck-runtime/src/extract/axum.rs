//! Adapters for axum's extractors.

use super::{Context, FromMessage};
use crate::message::Message;
use crate::response::{Body, IntoReply, Response};
use axum_core::extract::{FromRequest, FromRequestParts};
use axum_core::response::IntoResponse;
use http::Request;
use std::ops::{Deref, DerefMut};

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
/// The extractor runs with the state `()`. Extractors that need the matched route of an axum router reject.
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
/// The extractor gets a copy of the request that shares the body, so several extractors can read the body. It runs with the state `()`.
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
        let extracted = T::from_request_parts(&mut parts, &()).await;
        extracted
            .map(Axum)
            .map_err(|rejection| rejection.into_response().into_reply())
    }
}

impl<S: Send + Sync + 'static, T: FromRequest<()>> FromMessage<S> for AxumBody<T> {
    type Rejection = Response;

    async fn from_message(cx: &Context<S>) -> Result<AxumBody<T>, Response> {
        let request = request(cx.message()).map(axum_core::body::Body::new);
        let extracted = T::from_request(request, &()).await;
        extracted
            .map(AxumBody)
            .map_err(|rejection| rejection.into_response().into_reply())
    }
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
