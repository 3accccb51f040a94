//! The proofs of `serves!` and `answered!`: the first route that matches every path of an operation has a handler for its calls, or a
//! response handler for its responses.
//!
//! An earlier route that matches only some paths of the operation, as `^/user/me$` does for `/user/{id}`, is not found. It takes calls in the
//! dialects of the Python original only: all others carry the name of their operation.

use super::subset::is_subset;
use crate::const_string::{ConstString, is_same};
use crate::method::{Kind, Method};
use crate::routing::automaton::Automaton;
use crate::routing::table::Routes;
use crate::spec::Spec;

/// Panics, which is a compile error, if it is not proven for each of these operations that its calls reach a handler.
#[track_caller]
pub const fn check_served<S>(routes: Routes<S>, operations: &[&Spec]) {
    let mut i = 0;
    while i < operations.len() {
        let operation = operations[i];
        match first_covering(routes, operation) {
            None => panic!("{}", unserved(operation).as_str()),
            Some(spec) if !has_handler(routes, spec, operation, false) => {
                panic!("{}", intercepted(operation, spec).as_str())
            }
            Some(_) => {}
        }
        i += 1;
    }
}

/// Panics, which is a compile error, if it is not proven for each of these operations that its responses reach a response handler.
#[track_caller]
pub const fn check_answered<S>(routes: Routes<S>, operations: &[&Spec]) {
    let mut i = 0;
    while i < operations.len() {
        if !is_answered(routes, operations[i]) {
            panic!("{}", unanswered(operations[i]).as_str());
        }
        i += 1;
    }
}

/// Returns `true` if the first route that matches every path of the operation belongs to a resource with a response handler.
pub(crate) const fn is_answered<S>(routes: Routes<S>, operation: &Spec) -> bool {
    // Responses are routed by the path of the call, with a method and kind of their own.
    let response = operation.handled_by(operation.name, Method::Response, Kind::Response);
    match first_covering(routes, operation) {
        // A response handler without a contract takes the responses of any operation.
        Some(spec) => has_handler(routes, spec, &response, true),
        None => false,
    }
}

const fn unanswered(operation: &Spec) -> ConstString {
    let text = ConstString::new()
        .push("no response handler handles the responses of `")
        .push(operation.name)
        .push("`\n  its path is ")
        .push(operation.pattern);
    let text = text.push(" at ").location(operation.file, operation.line);
    text.push("\nhelp: list a function with `#[response_handler(")
        .push(operation.name)
        .push(")]`, before every other route that matches this path")
}

/// Returns the first route that is proven to match every path of the operation.
const fn first_covering<S>(routes: Routes<S>, operation: &Spec) -> Option<&'static Spec> {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        if covers(entries[i].route.spec, operation) {
            return Some(entries[i].route.spec);
        }
        i += 1;
    }
    None
}

/// Returns `true` if the resource of `spec` has a handler of the operation, or one of its method and kind without a contract, if that counts.
const fn has_handler<S>(routes: Routes<S>, spec: &Spec, operation: &Spec, without_contract: bool) -> bool {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        let handler = entries[i].route.spec;
        let is_for_operation = is_same(handler.operation, operation.operation)
            || (without_contract && handler.operation.is_empty());
        if is_for_operation && handler.same_resource(spec) && handler.same_method(operation) {
            return true;
        }
        i += 1;
    }
    false
}

const fn unserved(operation: &Spec) -> ConstString {
    not_served(operation)
        .push("\nhelp: list a function with `#[service_handler(")
        .push(operation.name)
        .push(")]`")
}

const fn not_served(operation: &Spec) -> ConstString {
    let text = ConstString::new()
        .push("no route serves `")
        .push(operation.name)
        .push("`\n  its calls are sent as `");
    let text = text
        .push(operation.method.as_str())
        .push("` to ")
        .push(operation.pattern)
        .push(" at ");
    text.location(operation.file, operation.line)
}

/// Describes that `spec` matches every path of the operation first, and that its resource has no handler for the operation.
const fn intercepted(operation: &Spec, spec: &Spec) -> ConstString {
    let text = not_served(operation)
        .push("\n  `")
        .push(spec.name)
        .push("` matches this path first: `");
    let text = text
        .push(spec.pattern)
        .push("` at ")
        .location(spec.file, spec.line);
    text.push("\nhelp: list a handler of `")
        .push(operation.name)
        .push("` before `")
        .push(spec.name)
        .push("`")
}

const fn covers(route: &Spec, operation: &Spec) -> bool {
    if route.same_resource(operation) {
        return true;
    }
    // A pattern without an automaton proves nothing.
    let (route, operation) = (Automaton(route.automaton), Automaton(operation.automaton));
    !route.is_absent() && !operation.is_absent() && is_subset(operation, route)
}

/// Proves at compile time that a route table has a response handler for every operation of a contract.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow")]
///     async fn echo(&self, text: String) -> Result<String, Problem>;
/// }
///
/// #[response_handler(slow_echo::echo)]
/// async fn on_slow(reply: ServiceResponse<String>) -> usize {
///     reply.body.len()
/// }
///
/// const ROUTES: Routes<()> = routes![on_slow];
/// brubeck::answered!(ROUTES => slow_echo);
/// # fn main() {}
/// ```
///
/// If this line compiles, the response to every call of the contract that this application sends with
/// [`nowait`](crate::TypedCall::nowait) has a response handler: one of the operation, or one without a contract for its path.
///
/// # Grammar
///
/// ```text
/// answered!(ROUTES => contract);
/// ```
///
/// | part | meaning |
/// |---|---|
/// | `ROUTES` | a constant of type [`Routes`](crate::Routes): the table of the application that makes the calls |
/// | `contract` | the module that `#[service_client]` generates: the name of the trait in snake case |
///
/// Write it where items are allowed, next to the table. `serves!` is the counterpart for the service. Without `answered!`, the
/// application checks the calls in the text of its handlers when it starts, and any other call when the call is made.
///
/// # Examples
///
/// Several contracts take one line each. An operation without a response handler is a compile error that names it:
///
/// ```compile_fail
/// # use brubeck::prelude::*;
/// # #[service_client]
/// # pub trait SlowEcho {
/// #     #[call("/service/slow")]
/// #     async fn echo(&self, text: String) -> Result<String, Problem>;
/// # }
/// const ROUTES: Routes<()> = routes![];
/// brubeck::answered!(ROUTES => slow_echo);
/// # fn main() {}
/// ```
///
/// ```text
/// error[E0080]: evaluation panicked: no response handler handles the responses of `slow_echo::echo`
///                 its path is /service/slow at src/main.rs:5
///               help: list a function with `#[response_handler(slow_echo::echo)]`, before every other route that matches this path
/// ```
#[macro_export]
macro_rules! answered {
    ($routes:expr => $($contract:ident)::+) => {
        const _: () = $crate::__private::check_answered($routes, &$($contract)::+::OPERATIONS);
    };
}
