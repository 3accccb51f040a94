//! The query of a web request.

use super::{FromMessage, Rejection};
use crate::context::Context;
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// The query of a web request as a struct.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Paging { page: Option<u32>, count: Option<u32> }
///
/// #[get("^/users")]
/// async fn users(paging: Query<Paging>) -> String {
///     format!("page {}", paging.page.unwrap_or(1))
/// }
/// ```
///
/// A query that does not fit is answered with 400, and says which field is wrong.
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
        serde_urlencoded::from_str(query)
            .map(Query)
            .map_err(|error| Rejection::new(Status::BAD_REQUEST, format!("the query is not valid: {error}")))
    }
}
