//! The headers of a message.

use super::{Context, FromMessage};
use http::HeaderMap;
use std::convert::Infallible;
use std::ops::Deref;

/// The headers of a message; names are found in any case.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/agent")]
/// async fn agent(headers: Headers) -> String {
///     headers.text("user-agent").unwrap_or("a browser without a name").to_owned()
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Headers(pub HeaderMap);

impl Headers {
    /// The first value of this name as text; `None` where it is missing or not visible ASCII.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }
}

impl Deref for Headers {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.0
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Headers {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Headers, Infallible> {
        Ok(Headers(cx.message().headers().clone()))
    }
}
