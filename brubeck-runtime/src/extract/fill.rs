//! What fills the arguments of a handler without a contract: the typed builder of its requests.

use super::operation::push_segment;
use super::{Arg, Json};
use crate::rpc::api::ServiceRequest;
use serde::Serialize;

/// A caller fills the handler argument `Self` with a `V`.
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
    note = "a `T` fills `Json<T>`, what converts into a `T` fills `Arg<T>`; no other argument comes from the caller"
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

/// An argument that may be absent is filled with what it holds.
#[diagnostic::do_not_recommend]
impl<V, T: Fill<V>> Fill<V> for Option<T> {
    fn fill(request: ServiceRequest, name: &'static str, value: V) -> ServiceRequest {
        T::fill(request, name, value)
    }
}

/// A value that fills a capture of type `Self` in the path of a request.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a caller cannot write `{V}` into a path where the handler reads `{Self}`",
    label = "a capture of type `{Self}`"
)]
pub trait FillCapture<V> {
    /// Adds the value to a path.
    fn fill(path: &mut String, value: V);
}

impl<T: ToString> FillCapture<T> for T {
    fn fill(path: &mut String, value: T) {
        push_segment(path, &value.to_string());
    }
}
