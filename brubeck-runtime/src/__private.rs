//! Items that only generated code uses. They may change in any release.

pub use crate::__schema as schema;
pub use crate::extract::fill::FillCapture;
pub use crate::extract::operation::{
    ArgsOf, Arguments, InPath, Named, NamedSlot, PathSlot, ReadOperation, in_path, named, push_segment,
    push_segments, read_operation, reject,
};
pub use crate::extract::{BodyUse, Context, Fill, FromCapture, FromMessage, Json, Provides, client_for};
pub use crate::handler::arguments::{
    call_result, capture, extracted, optional_capture, read_arguments, run_handler,
};
pub use crate::handler::blocking::{ConcurrencyLimit, blocking};
#[cfg(feature = "schema")]
pub use crate::handler::schema::{
    DescribeNothing, DescribeSchema, DescribeWithoutSchema, FailureOf, Schemas, SuccessOf, TypeProbe,
};
pub use crate::method::{Kind, Method};
#[cfg(not(feature = "templates"))]
pub use crate::missing::NeedsTemplates;
pub use crate::response::call::operation_response;
pub use crate::response::{Answers, IntoReply, Rejection, Response, check_sendable};
pub use crate::routing::{
    BoxFuture, Checked, ContractRoutes, Entry, HandlerFn, Listed, ListedRoute, NowaitCalls, RouteHandler,
    RouteMatcher, Routes, TablePrefix, UrlRoute, automata, automata_len, check_answered, check_body,
    check_served, emit_error, entry, first_errors, join, join_specs, own_url_spec, prefixed_entries,
    prefixed_specs, shadow_checks, spec_references, specs, table, template_url, texts, texts_len, url_spec,
};
pub use crate::rpc::api::{
    ArgumentType, BodyCodec, Client, Credentials, Handles, Operation, OperationResult, ResponseOf,
    ResultOfCall, ServiceRequest, TypedCall, body_codec,
};
pub use crate::spec::{Routed, Spec};
#[cfg(feature = "templates")]
pub use crate::template::{AnyData, DataOf, DataProbe, DataShape, DataStep, Template, check_data};
use crate::websocket::SocketOutcome;
#[cfg(feature = "templates")]
pub use minijinja::Value;

#[cfg(feature = "templates")]
use serde::Serialize;

/// Ignores the signature of a handler, because the feature `schema` is disabled.
#[cfg(not(feature = "schema"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    ($($signature:tt)*) => {
        ::core::option::Option::None
    };
}

/// The keys of the handler attributes, for completion in an editor.
pub mod keys {
    /// The route pattern: a regex that starts with `^/`. Named groups bind arguments.
    pub mod path {}
    /// Web handlers: get, post, put, patch, delete, head, options, trace, connect. Service handlers: get, post,
    /// put, delete, options, connect, response, request. Calls in brubeck's protocol cannot have the method response.
    pub mod method {}
    /// Service handlers: the handler is a plain `fn`, which runs on a thread for blocking work.
    pub mod blocking {}
    /// Service handlers: the maximum number of calls of this handler that run at once.
    pub mod concurrency {}
}

#[cfg(feature = "services")]
/// Returns the [`Client`] behind `XClient::at`, which connects when it is first used.
pub fn lazy_client(address: impl Into<String>, credentials: impl Into<Credentials>) -> Client {
    Client::lazy(crate::ServiceAddress::new(address, credentials))
}

/// The bounds of the state of an application.
pub trait AppState: Send + Sync + 'static {}

impl<T: Send + Sync + 'static> AppState for T {}

/// A placeholder state, with which generated code checks the arguments of a handler.
pub struct AnyApp;

impl<T: Clone> Provides<T> for AnyApp {
    fn provide(&self) -> T {
        unreachable!("`AnyApp` is used for type checks only")
    }
}

/// Converts the output of a handler whose return type has no name, such as `impl IntoReply`.
pub fn reply(value: impl IntoReply) -> Response {
    value.into_reply()
}

/// Wraps the output of a response handler for the caller that awaits it.
pub fn handler_value<T: Send + 'static>(value: T) -> Response {
    Response::handler_value(value)
}

/// The body of a handler whose attribute has an error. It never runs, because the program does not compile.
pub fn broken() -> BoxFuture {
    unreachable!("the attribute of this handler has an error")
}

/// Converts a field to a template variable.
#[cfg(feature = "templates")]
pub fn variable<T: Serialize>(value: &T) -> Value {
    crate::template::variable(value)
}

/// Converts fields to the variables of a template. `page` is the name of the struct.
#[cfg(feature = "templates")]
pub fn variables<const N: usize>(page: &'static str, fields: [(&'static str, Value); N]) -> Value {
    crate::template::page_variables(page, fields.into())
}

/// Checks a WebSocket handshake. Returns the rejection for the client if the handshake is not acceptable.
pub fn socket_offered<S>(
    cx: &Context<S>,
    protocols: &[&'static str],
    origins: &[&str],
) -> Result<(), Rejection> {
    crate::websocket::negotiate(cx.message(), protocols, origins)
}

/// Accepts a WebSocket and runs its handler.
pub fn socket_run<S, R, F>(cx: &Context<S>, handler: F) -> Response
where
    R: SocketOutcome,
    F: Future<Output = R> + Send + 'static,
{
    crate::websocket::accept_upgrade(cx.message(), handler)
}
