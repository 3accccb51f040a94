//! Extractors for the raw body: as text or as bytes.

use super::{BodyUse, Context, FromMessage};
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
/// The content type of the request does not matter. For the body as bytes, take [`Bytes`]; to stream a large one, take
/// [`Upload`](crate::Upload).
///
/// Rejects with 400 if the body is not valid UTF-8. A body beyond the limit of the [application](crate::App::body_limit), 1 MiB by default, or of
/// the [route](crate::Limits::body_limit) is rejected with 413 before the handler runs. `Option<Text>` is `None` if the body is empty. In
/// a service handler it is the body of the call as it was sent, which is JSON.
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

    const BODY: BodyUse = BodyUse::Any;

    async fn from_message(cx: &Context<S>) -> Result<Text, Rejection> {
        match std::str::from_utf8(cx.message().body()) {
            Ok(text) => Ok(Text(text.to_owned())),
            Err(error) => Err(Rejection::new(
                Status::BAD_REQUEST,
                format!("the body is not UTF-8: {error}"),
            )),
        }
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Text>, Rejection> {
        if cx.message().body().is_empty() {
            return Ok(None);
        }
        Text::from_message(cx).await.map(Some)
    }
}

/// Extracts the body as bytes, without copying them. Never rejects.
///
/// ```
/// use brubeck::prelude::*;
/// use bytes::Bytes;
///
/// #[post("/photo")]
/// async fn photo(photo: Bytes) -> String {
///     format!("{} bytes", photo.len())
/// }
/// ```
///
/// A body beyond the limit of the [application](crate::App::body_limit) or of the [route](crate::Limits::body_limit) is rejected with 413
/// before the handler runs. `Option<Bytes>` is `None` if the body is empty.
impl<S: Send + Sync + 'static> FromMessage<S> for Bytes {
    type Rejection = Infallible;

    const BODY: BodyUse = BodyUse::Any;

    async fn from_message(cx: &Context<S>) -> Result<Bytes, Infallible> {
        Ok(cx.message().body().clone())
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Bytes>, Infallible> {
        let body = cx.message().body();
        Ok((!body.is_empty()).then(|| body.clone()))
    }
}
