//! The conversions that the generated request builder of a service handler uses.

use super::operation::{push_segment, push_segments};
use super::{Arg, Json};
use crate::rpc::api::ServiceRequest;
use serde::Serialize;

/// Handler arguments that a caller can set from a `V`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_handler("/service/slow/{id}")]
/// async fn slow(id: u64, text: Arg<String>) -> Reply {
///     Reply::empty().field("text", format!("{id} {}", text.0))
/// }
///
/// // `text` takes a `&str`, because `Arg<String>` implements `Fill<&str>`.
/// let request: brubeck::ServiceRequest = slow::request(7u64).text("hello").into();
/// assert_eq!(request.path(), "/service/slow/7");
/// assert_eq!(request.arguments()["text"], "hello");
/// ```
///
/// [`#[service_handler]`](../brubeck/attr.service_handler.html) adds a function `request` to the name of a handler without a contract, such as `slow::request(7)`. The
/// function takes the captures of the path, or the whole path if it cannot be built from captures. It returns a builder, which converts into a
/// [`ServiceRequest`], with one method for each other argument. The method accepts every `V` for which the type of the argument implements
/// `Fill<V>`: a `T` for [`Json<T>`](Json), and anything that converts into a `T` for [`Arg<T>`](Arg). An `Option` of one of them accepts the
/// same values. Send the request with [`Client::send`](crate::Client::send).
#[diagnostic::on_unimplemented(
    message = "a caller cannot fill `{Self}` with `{V}`",
    label = "the handler takes `{Self}` here",
    note = "`Json<T>` is filled with a `T`, `Arg<T>` with anything that converts into a `T`; a caller cannot set other arguments"
)]
pub trait Fill<V> {
    /// Adds the value to a request: as its body, or as the argument `name`. Generated code calls this.
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

    /// Appends the value to a path, as one or more segments: a `/` in it is a separator.
    fn fill_rest(path: &mut String, value: V);
}

impl<T: ToString> FillCapture<T> for T {
    fn fill(path: &mut String, value: T) {
        push_segment(path, &value.to_string());
    }

    fn fill_rest(path: &mut String, value: T) {
        push_segments(path, &value.to_string());
    }
}
