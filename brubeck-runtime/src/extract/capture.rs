//! Values from the path.

use std::str::FromStr;

/// A handler argument that comes from a capture of the route pattern, by its name.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$")]
/// async fn user(id: u64, tab: Option<String>) -> String {
///     format!("user {id}, {}", tab.unwrap_or_default())
/// }
/// ```
///
/// Implemented for everything that is [`FromStr`]. The text is percent-decoded. A capture that does not parse
/// (`99999999999999999999` is no `u64`) is answered with 404: there is nothing at such a path. A capture that
/// may be absent from a matching path is an `Option`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a path capture",
    label = "this argument is named like a capture of the route pattern",
    note = "implement `FromStr` for `{Self}`, or rename the argument if it should not come from the path"
)]
pub trait FromCapture: Sized {
    /// Reads the text of the capture; `None` where it is none of these values.
    fn from_capture(text: &str) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr> FromCapture for T {
    fn from_capture(text: &str) -> Option<T> {
        text.parse().ok()
    }
}
