//! The query of a web request.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// The query of a web request as a struct.
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
/// A name that comes several times is a list; an empty value of an `Option` is `None`. A query that does not fit is
/// answered with 400, and says which field is wrong.
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
        read(query.as_bytes(), Status::BAD_REQUEST, "the query is not valid").map(Query)
    }
}

/// The struct that `name=value&..` describes.
pub(super) fn read<T: DeserializeOwned>(text: &[u8], status: Status, what: &str) -> Result<T, Rejection> {
    if text.split(|byte| *byte == b'&').take(FIELDS + 1).count() > FIELDS {
        return Err(Rejection::new(Status::PAYLOAD_TOO_LARGE, "more than 1000 fields"));
    }
    serde_path_to_error::deserialize(serde_html_form::Deserializer::from_bytes(text))
        .map_err(|error| Rejection::of_field(status, what, &error.path().to_string(), error.inner()))
}

/// How many fields a query or a form may have.
const FIELDS: usize = 1000;
