//! The proofs of `serves!` and `answered!`: every operation of a contract reaches a handler for it, or for its answers.

use super::subset::included;
use super::text::Text;
use crate::method::{Kind, Method};
use crate::routing::automaton::Automaton;
use crate::routing::table::Routes;
use crate::spec::Spec;

/// Panics, which is a compile error, if a call of a contract would reach no handler.
#[track_caller]
pub const fn check_served<S>(routes: Routes<S>, operations: &[&Spec]) {
    let mut i = 0;
    while i < operations.len() {
        let operation = operations[i];
        match first_covering(routes, operation) {
            None => panic!("{}", unserved(operation).as_str()),
            Some(spec) if !is_served(routes, spec, operation) => {
                panic!("{}", taken(operation, spec).as_str())
            }
            Some(_) => {}
        }
        i += 1;
    }
}

/// Panics, which is a compile error, if the answer of an operation of a contract would reach no response handler.
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

/// Whether all answers of an operation reach one response handler.
pub(super) const fn is_answered<S>(routes: Routes<S>, operation: &Spec) -> bool {
    let answer = operation.handled_by(operation.name, Method::Response, Kind::Response);
    match first_covering(routes, operation) {
        Some(spec) => is_served(routes, spec, &answer),
        None => false,
    }
}

const fn unanswered(operation: &Spec) -> Text {
    let text = Text::new()
        .push("no response handler takes the answers of `")
        .push(operation.name)
        .push("`, which come from ")
        .push(operation.pattern);
    let text = text.push(" at ").place(operation.file, operation.line);
    text.push("\nhelp: list a function with `#[response_handler(..)]` of this operation, before every route that takes its path")
}

/// The first route that takes every path of the operation.
const fn first_covering<S>(routes: Routes<S>, operation: &Spec) -> Option<&'static Spec> {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        if covers(entries[i].spec, operation) {
            return Some(entries[i].spec);
        }
        i += 1;
    }
    None
}

/// Whether the resource of `spec` has a handler for the method of the operation.
const fn is_served<S>(routes: Routes<S>, spec: &Spec, operation: &Spec) -> bool {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        if entries[i].spec.same_resource(spec) && entries[i].spec.same_method(operation) {
            return true;
        }
        i += 1;
    }
    false
}

const fn unserved(operation: &Spec) -> Text {
    let text = Text::new()
        .push("no route serves `")
        .push(operation.name)
        .push("`\n  the contract sends `");
    let text = text
        .push(operation.method.as_str())
        .push("` to ")
        .push(operation.pattern)
        .push(" at ");
    text.place(operation.file, operation.line)
}

const fn taken(operation: &Spec, spec: &Spec) -> Text {
    let text = unserved(operation)
        .push("\n  `")
        .push(spec.name)
        .push("`, which is listed first, takes its path by `");
    let text = text.push(spec.pattern).push("` at ").place(spec.file, spec.line);
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
    let (route, operation) = (Automaton(route.automaton), Automaton(operation.automaton));
    !route.is_absent() && !operation.is_absent() && included(operation, route)
}

/// Proves that the routes of an application have a response handler for every operation of a contract, so that no answer
/// to a call that was sent with [`nowait`](crate::TypedCall::nowait) is lost.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow")]
///     async fn echo(&self, text: String) -> Result<String, Fault>;
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
/// An operation without one is a compile error, which names it:
///
/// ```compile_fail
/// # use brubeck::prelude::*;
/// # #[service_client]
/// # pub trait SlowEcho {
/// #     #[call("/service/slow")]
/// #     async fn echo(&self, text: String) -> Result<String, Fault>;
/// # }
/// const ROUTES: Routes<()> = routes![];
/// brubeck::answered!(ROUTES => slow_echo);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! answered {
    ($routes:expr => $($contract:ident)::+) => {
        const _: () = $crate::__private::check_answered($routes, &$($contract)::+::OPERATIONS);
    };
}
