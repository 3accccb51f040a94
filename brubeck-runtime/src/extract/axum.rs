//! The extractors of axum.

use super::{Context, FromMessage};
use crate::message::Message;
use crate::response::{Body, IntoReply, Response};
use axum_core::extract::{FromRequest, FromRequestParts};
use axum_core::response::IntoResponse;
use http::Request;
use std::ops::{Deref, DerefMut};

/// Any extractor of axum that does not read the body, or one of a crate made for axum, as a handler argument.
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
/// Extractors that want the state of an axum router are given `()`; those that want its matched route refuse.
/// Feature `axum`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axum<T>(pub T);

/// Any extractor of axum that reads the body, as a handler argument.
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
/// It works on a copy of the message, so others may read the body too. Feature `axum`.
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
            .map_err(|refused| refused.into_response().into_reply())
    }
}

impl<S: Send + Sync + 'static, T: FromRequest<()>> FromMessage<S> for AxumBody<T> {
    type Rejection = Response;

    async fn from_message(cx: &Context<S>) -> Result<AxumBody<T>, Response> {
        let request = request(cx.message()).map(axum_core::body::Body::new);
        let extracted = T::from_request(request, &()).await;
        extracted
            .map(AxumBody)
            .map_err(|refused| refused.into_response().into_reply())
    }
}

fn request(message: &Message) -> Request<Body> {
    let mut request = Request::new(Body::from(message.body().clone()));
    // The names of our methods are those of HTTP.
    *request.method_mut() = message.method().as_http().parse().unwrap_or_default();
    *request.uri_mut() = message.uri();
    *request.headers_mut() = message.headers().clone();
    *request.extensions_mut() = message.extensions().clone();
    request
}
