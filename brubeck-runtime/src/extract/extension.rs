//! Extractors for the extensions and the URI of a request.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use http::Uri;
use std::convert::Infallible;
use std::ops::Deref;

/// Extractor for a request extension, which a front end or a layer has added.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[derive(Clone)]
/// struct RequestNumber(u64);
///
/// #[get("^/number$")]
/// async fn number(number: Extension<RequestNumber>) -> String {
///     number.0.0.to_string()
/// }
/// ```
///
/// Rejects with 500, and logs an error, if the request has no extension of this type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T> Deref for Extension<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S: Send + Sync + 'static, T: Clone + Send + Sync + 'static> FromMessage<S> for Extension<T> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Extension<T>, Rejection> {
        cx.message()
            .extensions()
            .get()
            .cloned()
            .map(Extension)
            .ok_or_else(|| {
                tracing::error!(
                    extension = std::any::type_name::<T>(),
                    "missing request extension, add it with a layer"
                );
                Rejection::new(Status::INTERNAL_SERVER_ERROR, "a request extension is missing")
            })
    }
}

/// Extracts the path and the query as a URI, percent-encoded. Extracts `/` if they are not a valid URI, which can happen for a call.
impl<S: Send + Sync + 'static> FromMessage<S> for Uri {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Uri, Infallible> {
        Ok(cx.message().uri())
    }
}
