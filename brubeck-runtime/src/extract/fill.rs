//! The conversions that the generated request builder of a service handler uses.

use super::operation::push_segment;
use super::{Arg, Json};
use crate::rpc::api::ServiceRequest;
use serde::Serialize;

/// Handler arguments that a caller can set from a `V`.
///
/// `#[service_handler]` adds a function `request` to the name of the handler, such as `slow::request(7)`. The function takes the captures
/// of the path, or the whole path if it cannot be built from captures. It returns a builder with one method for each other argument. The
/// method accepts every `V` for which the type of the argument implements `Fill<V>`: a `T` for `Json<T>`, and anything that converts into
/// a `T` for `Arg<T>`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/service/slow/(?<id>[0-9]+)$", method = "request")]
/// async fn slow(id: u64, text: Arg<String>) -> Reply {
///     Reply::empty().field("text", format!("{id} {}", text.0))
/// }
///
/// let request: brubeck::ServiceRequest = slow::request(7).text("hello").into();
/// assert_eq!(request.path(), "/service/slow/7");
/// assert_eq!(request.arguments()["text"], "hello");
/// ```
#[diagnostic::on_unimplemented(
    message = "a caller cannot fill `{Self}` with `{V}`",
    label = "the handler takes `{Self}` here",
    note = "`Json<T>` is filled with a `T`, `Arg<T>` with anything that converts into a `T`; a caller cannot set other arguments"
)]
pub trait Fill<V> {
    /// Adds the value to a request.
    fn fill(request: ServiceRequest, name: &'static str, value: V) -> ServiceRequest;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Fill<T> for Json<T> {
    fn fill(request: ServiceRequest, _: &'static str, value: T) -> ServiceRequest {
        request.body(value)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize, V: Into<T>> Fill<V> for Arg<T> {
    fn fill(request: ServiceRequest, name: &'static str, value: V) -> ServiceRequest {
        request.argument(name, value.into())
    }
}

/// An optional argument can be set from the same values as an argument of the inner type.
#[diagnostic::do_not_recommend]
impl<V, T: Fill<V>> Fill<V> for Option<T> {
    fn fill(request: ServiceRequest, name: &'static str, value: V) -> ServiceRequest {
        T::fill(request, name, value)
    }
}

/// Capture types that a caller can write into a path from a `V`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a caller cannot write `{V}` into a path where the handler reads `{Self}`",
    label = "a capture of type `{Self}`"
)]
pub trait FillCapture<V> {
    /// Appends the value to a path, as one segment.
    fn fill(path: &mut String, value: V);
}

impl<T: ToString> FillCapture<T> for T {
    fn fill(path: &mut String, value: T) {
        push_segment(path, &value.to_string());
    }
}
