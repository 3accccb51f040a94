//! One header, found by the name of the argument.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// One header with a type, found by the name of the handler argument: `user_agent: Header<String>` reads
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
/// Any type that is [`FromStr`] will do. A header that is missing or does not parse is answered with 400, and is
/// `None` for an `Option`. Of several headers of one name it is the first.
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
        let refuse = |reason: String| Rejection::new(Status::BAD_REQUEST, reason).at(name.clone());
        let value = cx
            .message()
            .headers()
            .get(&name)
            .ok_or_else(|| refuse(format!("the header `{name}` is missing")))?;
        let text = value
            .to_str()
            .map_err(|_| refuse(format!("the header `{name}` is not visible ASCII")))?;
        text.parse()
            .map(Header)
            .map_err(|error| refuse(format!("the header `{name}` is not valid: {error}")))
    }
}
