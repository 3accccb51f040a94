//! The extractor for the query string.

use super::{Context, FromMessage};
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
/// A field that can occur more than once deserializes into a `Vec`. An empty value is `None` for an `Option` of a number or of a `bool`.
/// It is `Some("")` for an `Option<String>`, and invalid for most other types.
///
/// Rejects with 400 if the query cannot be deserialized; the rejection names the field if one is invalid. Rejects with 413 if the
/// query has more than 1,000 fields.
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
    serde_path_to_error::deserialize(serde_html_form::Deserializer::from_bytes(text))
        .map_err(|error| Rejection::for_field(status, message, &error.path().to_string(), error.inner()))
}
