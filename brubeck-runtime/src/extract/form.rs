//! The extractor for URL-encoded forms.

use super::{Context, FromMessage, media_type, query};
use crate::response::Rejection;
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// Extractor that deserializes a URL-encoded form (`application/x-www-form-urlencoded`) into `T`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Order { dish: String, spicy: Option<String>, #[serde(default)] extra: Vec<String> }
///
/// #[post("^/order$")]
/// async fn order(order: Form<Order>) -> String {
///     format!("{} with {}", order.dish, order.extra.join(", "))
/// }
/// ```
///
/// A field that can occur more than once deserializes into a `Vec`. An empty value is `None` for an `Option` of a number or of a `bool`.
/// It is `Some("")` for an `Option<String>`, and invalid for most other types.
/// For forms with files, use `Multipart`.
///
/// Rejects with
/// * 415 unless the request has this media type,
/// * 422 if the form cannot be deserialized; the rejection names the field if one is invalid,
/// * 413 if the form has more than 1,000 fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form<T>(pub T);

impl<T> Deref for Form<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub(super) const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send> FromMessage<S> for Form<T> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Form<T>, Rejection> {
        let message = cx.message();
        if !media_type(message.headers()).is_some_and(|name| name.eq_ignore_ascii_case(MEDIA_TYPE)) {
            let reason =
                "the body must be a form with the header `content-type: application/x-www-form-urlencoded`";
            return Err(Rejection::new(Status::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        query::deserialize_pairs(
            message.body(),
            Status::UNPROCESSABLE_ENTITY,
            "the form is not valid",
        )
        .map(Form)
    }
}
