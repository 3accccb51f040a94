//! Extractors for the raw body: as text or as bytes.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use bytes::Bytes;
use std::convert::Infallible;
use std::ops::Deref;

/// Extractor for the body as UTF-8 text.
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
/// Rejects with 400 if the body is not valid UTF-8.
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

/// Extracts the body as bytes, without copying them.
impl<S: Send + Sync + 'static> FromMessage<S> for Bytes {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Bytes, Infallible> {
        Ok(cx.message().body().clone())
    }
}
