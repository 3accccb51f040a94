//! Extractors for headers: all of them, or one with a type.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use http::HeaderMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// Extractor for all headers of a message.
///
/// It dereferences to [`http::HeaderMap`]; names are case-insensitive.
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
    /// Returns the first value of a header as text. Returns `None` if the header is missing or contains bytes other than
    /// visible ASCII characters.
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

/// Extractor for one header, parsed as a type that implements [`FromStr`].
///
/// The name of the handler argument, with `_` replaced by `-`, is the name of the header: `user_agent: Header<String>` reads
/// `user-agent`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/tick$")]
/// async fn tick(user_agent: Header<String>, x_count: Option<Header<u32>>) -> String {
///     format!("{} counts {}", *user_agent, x_count.map_or(0, |count| *count))
/// }
/// ```
///
/// Rejects with 400 if the header is missing or cannot be parsed. `Option<Header<T>>` is `None` instead. If a message has
/// several headers of the name, the first one is used. In a hook, arguments have no names, so this extractor always rejects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<T>(pub T);

impl<T> Deref for Header<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S, T> FromMessage<S> for Header<T>
where
    S: Send + Sync + 'static,
    T: FromStr<Err: fmt::Display> + Send,
{
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Header<T>, Rejection> {
        let name = cx.argument().replace('_', "-");
        let reject = |reason: String| Rejection::new(Status::BAD_REQUEST, reason).at(name.clone());
        let value = cx
            .message()
            .headers()
            .get(&name)
            .ok_or_else(|| reject(format!("the header `{name}` is missing")))?;
        let text = value
            .to_str()
            .map_err(|_| reject(format!("the header `{name}` is not visible ASCII")))?;
        text.parse()
            .map(Header)
            .map_err(|error| reject(format!("the header `{name}` is not valid: {error}")))
    }
}
