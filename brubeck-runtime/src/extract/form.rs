//! The extractor for URL-encoded forms.

use super::{BodyUse, Context, FromMessage, media_type, query};
use crate::message::Message;
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
/// [`Query`](crate::Query#how-text-becomes-a-value) describes how the text of a field becomes a value.
/// For forms with files, use [`Multipart`](crate::Multipart); for single fields, [`Arg`](crate::Arg).
///
/// Rejects with
/// * 415 unless the request has this media type,
/// * 422 if the form cannot be deserialized; the rejection names the field, the value, and the values that it can have,
/// * 413 if the form has more than 1,000 fields,
/// * 413, before the handler runs, if the body exceeds the limit of the [application](crate::App::body_limit), 1 MiB by default, or of the
///   [route](crate::Limits::body_limit).
///
/// `Option<Form<T>>` is `None` if the request has neither a body nor this media type.
///
/// Source: [WHATWG URL, section 5](https://url.spec.whatwg.org/#application/x-www-form-urlencoded).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form<T>(pub T);

impl<T> Deref for Form<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send> FromMessage<S> for Form<T> {
    type Rejection = Rejection;

    const BODY: BodyUse = BodyUse::Form;

    async fn from_message(cx: &Context<S>) -> Result<Form<T>, Rejection> {
        let message = cx.message();
        if !is_form(message) {
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

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Form<T>>, Rejection> {
        // A form without fields has no body, but it has the media type.
        if cx.message().body().is_empty() && !is_form(cx.message()) {
            return Ok(None);
        }
        Form::from_message(cx).await.map(Some)
    }
}

/// Returns whether the body of a message is a URL-encoded form.
pub(super) fn is_form(message: &Message) -> bool {
    media_type(message.headers()).is_some_and(|name| name.eq_ignore_ascii_case(MEDIA_TYPE))
}
