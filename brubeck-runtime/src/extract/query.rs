//! The extractor for the query string.

use super::{Context, FromMessage, text_value};
use crate::response::Rejection;
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// Extractor that deserializes the query string of a web request into `T`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Search {
///     page: Option<u32>,
///     #[serde(default)]
///     tag: Vec<String>, // ?tag=jazz&tag=live
/// }
///
/// #[get("^/search")]
/// async fn search(search: Query<Search>) -> String {
///     format!("page {} of {:?}", search.page.unwrap_or(1), search.tag)
/// }
/// ```
///
/// # How text becomes a value
///
/// [`Query`], [`Form`](crate::Form), [`Arg`](crate::Arg) and [captures](crate::FromCapture) have the same rule:
///
/// * A number is written as in Rust: `7`, `007`, `+7`, `-7`, `.5`, `1e3`; no spaces.
/// * A `bool` is `true`, `on` or `1`, or it is `false`, `off` or `0`.
/// * An enum is the name of a variant without fields.
/// * If a name occurs more than once, its last value is used. A list (`Vec`, a set, a tuple) has all of its values. So a form can have a
///   hidden field before a checkbox of the same name: `news=false&news=true`.
/// * An empty text is `None` for an `Option`, unless the inner type accepts an empty text, as a `String` does.
/// * Text is never read as JSON.
///
/// `#[serde(flatten)]` works with all of these types.
///
/// # Rejections
///
/// Rejects with 400 if the query cannot be deserialized; the rejection names the field, the value, and the values that it can have.
/// Rejects with 413 if the query has more than 1,000 fields. `Option<Query<T>>` is `None` if the request has no query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send> FromMessage<S> for Query<T> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Query<T>, Rejection> {
        let query = cx.message().query().unwrap_or_default();
        deserialize_pairs(query.as_bytes(), Status::BAD_REQUEST, "the query is not valid").map(Query)
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Query<T>>, Rejection> {
        match cx.message().query() {
            None | Some("") => Ok(None),
            Some(_) => Query::from_message(cx).await.map(Some),
        }
    }
}

/// The limit for the fields of a query or a form.
const MAX_FIELDS: usize = 1000;

/// Deserializes `name=value&..` pairs. `message` describes the failure to the client.
///
/// # Errors
///
/// Returns a rejection with `status` if the text cannot be deserialized, and with 413 if it has more than [`MAX_FIELDS`] pairs.
pub(super) fn deserialize_pairs<T: DeserializeOwned>(
    text: &[u8],
    status: Status,
    message: &str,
) -> Result<T, Rejection> {
    if text.split(|byte| *byte == b'&').take(MAX_FIELDS + 1).count() > MAX_FIELDS {
        return Err(Rejection::new(
            Status::PAYLOAD_TOO_LARGE,
            format!("more than {MAX_FIELDS} fields"),
        ));
    }
    text_value::from_pairs(form_urlencoded::parse(text)).map_err(|error| {
        let field = error.field.unwrap_or_default();
        Rejection::for_field(status, message, &field, &error.reason)
    })
}
