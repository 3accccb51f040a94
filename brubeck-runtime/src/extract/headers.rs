//! Extractors for headers: all of them, or one with a type.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use http::{HeaderMap, HeaderValue};
use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// Extractor for all headers of a message.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/agent")]
/// async fn agent(headers: Headers) -> String {
///     headers.text("user-agent").unwrap_or("a browser without a name").to_owned()
/// }
/// ```
///
/// It dereferences to [`http::HeaderMap`]; names are case-insensitive.
#[derive(Clone, Debug, Default)]
pub struct Headers(pub HeaderMap);

impl Headers {
    /// Returns the first value of a header as text. Returns `None` if the header is missing or is not UTF-8.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("/language")]
    /// async fn language(headers: Headers) -> String {
    ///     headers.text("accept-language").unwrap_or("unknown").to_owned()
    /// }
    /// ```
    ///
    /// Most headers are ASCII. Browsers send `last-event-id` in UTF-8, as the [`Event`](crate::Event) has set it.
    ///
    /// For a header that is parsed and required, take a [`Header<T>`](Header).
    pub fn text(&self, name: &str) -> Option<&str> {
        text(self.0.get(name)?)
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
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
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/tick$")]
/// async fn tick(user_agent: Header<String>, x_count: Option<Header<u32>>) -> String {
///     format!("{} counts {}", *user_agent, x_count.map_or(0, |count| *count))
/// }
/// ```
///
/// The name of the handler argument, with `_` replaced by `-`, is the name of the header: `user_agent: Header<String>` reads
/// `user-agent`.
///
/// It dereferences to the value: `*user_agent` is the `String`.
///
/// Rejects with 400 if the header is missing or cannot be parsed. `Option<Header<T>>` is `None` if the header is missing. If a message has
/// several headers of the name, the first one is used. In a hook, arguments have no names, so this extractor always rejects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<T>(pub T);

impl<T> Deref for Header<T> {
    /// The type of the value, such as `u32` for a `Header<u32>`: see the example of [`Header`].
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
        let name = header_name(cx);
        match Header::from_message_if_present(cx).await? {
            Some(header) => Ok(header),
            None => {
                Err(Rejection::new(Status::BAD_REQUEST, format!("the header `{name}` is missing")).at(name))
            }
        }
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Header<T>>, Rejection> {
        let name = header_name(cx);
        let reject = |reason: String| Rejection::new(Status::BAD_REQUEST, reason).at(name.clone());
        let Some(value) = cx.message().headers().get(&name) else {
            return Ok(None);
        };
        let text = text(value).ok_or_else(|| reject(format!("the header `{name}` is not UTF-8")))?;
        text.parse()
            .map(|value| Some(Header(value)))
            .map_err(|error| reject(format!("the header `{name}` is not valid: {error}")))
    }
}

/// Returns the name of the header that an argument reads.
fn header_name<S>(cx: &Context<S>) -> String {
    cx.argument().replace('_', "-")
}
