//! What is known of a request beside its body and headers.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use http::Uri;
use std::convert::Infallible;
use std::ops::Deref;

/// Something that a connection or a layer put beside the request, found by its type.
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
/// Where nothing put it there, the answer is 500.
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
                    "no layer put a `{}` beside the request",
                    std::any::type_name::<T>()
                );
                Rejection::new(
                    Status::INTERNAL_SERVER_ERROR,
                    "this application is not set up completely",
                )
            })
    }
}

/// Path and query, as they were sent.
impl<S: Send + Sync + 'static> FromMessage<S> for Uri {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Uri, Infallible> {
        Ok(cx.message().uri())
    }
}
