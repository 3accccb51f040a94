//! The body as it came.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use bytes::Bytes;
use std::convert::Infallible;
use std::ops::Deref;

/// The body as text.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/shout")]
/// async fn shout(text: Text) -> String {
///     text.to_uppercase()
/// }
/// ```
///
/// A body that is not UTF-8 is answered with 400.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Text {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Text, Rejection> {
        match std::str::from_utf8(cx.message().body()) {
            Ok(text) => Ok(Text(text.to_owned())),
            Err(error) => Err(Rejection::new(
                Status::BAD_REQUEST,
                format!("the body is not UTF-8: {error}"),
            )),
        }
    }
}

/// The bytes of the body, shared and not copied.
impl<S: Send + Sync + 'static> FromMessage<S> for Bytes {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Bytes, Infallible> {
        Ok(cx.message().body().clone())
    }
}
