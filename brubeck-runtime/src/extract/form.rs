//! The form that a browser sends.

use super::{Context, FromMessage, media_type, query};
use crate::response::Rejection;
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// An HTML form (`application/x-www-form-urlencoded`) as a struct.
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
/// A name that comes several times is a list; an empty value of an `Option` is `None`. Another media type is
/// answered with 415, a form that does not fit with 422 and which field is wrong, one of more than 1,000 fields
/// with 413. Forms with files are `Multipart`.
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
                "the body must be a form, with the header `content-type: application/x-www-form-urlencoded`";
            return Err(Rejection::new(Status::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        query::read(
            message.body(),
            Status::UNPROCESSABLE_ENTITY,
            "the form is not what is expected here",
        )
        .map(Form)
    }
}
