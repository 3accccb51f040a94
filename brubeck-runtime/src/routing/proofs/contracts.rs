//! The proofs of `serves!` and `answered!`: the calls of an operation reach its handler, and its responses reach a response handler.
//!
//! Calls carry the name of their operation and are routed by it, except for those in the dialects of the Python original, which are routed
//! by path. `serves!` proves both: no other route takes a path of the operation. The only exception are narrower operations of the same contract,
//! whose paths the client does not send for other operations (`routing/paths.rs`).

use super::prefix_index::PrefixIndex;
use super::subset::{Relation, relation};
use crate::const_string::{ConstString, is_same};
use crate::method::{Kind, Method};
use crate::routing::automaton::Automaton;
use crate::routing::table::{Routes, specs};
use crate::spec::Spec;

/// An index that no route has.
const NONE: usize = usize::MAX;

/// Panics, which is a compile error, if it is not proven for each of these operations that its calls reach a handler. `N` is the number of
/// routes.
#[track_caller]
pub const fn check_served<S, const N: usize, const M: usize>(routes: Routes<S>, operations: &[&Spec; M]) {
    let table: [&Spec; N] = specs(routes);
    let (by_route, by_operation) = (PrefixIndex::of(&table), PrefixIndex::of(operations));
    let mut places = [OperationLookup::UNKNOWN; M];
    let mut i = 0;
    while i < M {
        places[i] = OperationLookup::of(&table, &by_route, operations, i);
        i += 1;
    }
    // Routes that match paths of an operation and whose forced prefix is longer.
    let mut route = 0;
    while route < N {
        let mut candidates = by_operation.with_prefix_of(table[route]);
        while let Some(i) = by_operation.next(&mut candidates) {
            if by_operation.prefix_len(i) < by_route.prefix_len(route)
                && takes_paths(table[route], route, operations[i], &places[i])
                && !is_listed(operations, table[route])
            {
                places[i].add_interceptor(route);
            }
        }
        route += 1;
    }
    let mut i = 0;
    while i < M {
        let OperationLookup {
            own,
            is_handled,
            interceptor,
            ..
        } = places[i];
        if own == NONE && interceptor == NONE {
            panic!("{}", unserved(operations[i]).as_str());
        }
        if own != NONE && !is_handled {
            panic!("{}", intercepted(operations[i], table[own]).as_str());
        }
        if interceptor != NONE {
            panic!("{}", intercepted(operations[i], table[interceptor]).as_str());
        }
        i += 1;
    }
}

/// The place of an operation in a table.
#[derive(Clone, Copy)]
struct OperationLookup {
    /// The first route of its resource.
    own: usize,
    /// The index from which its resource is tried: before all operations with more paths.
    tried_from: usize,
    /// The resource has a handler of the operation.
    is_handled: bool,
    /// The first other route that takes some of its paths.
    interceptor: usize,
}

impl OperationLookup {
    const UNKNOWN: OperationLookup = OperationLookup {
        own: NONE,
        tried_from: NONE,
        is_handled: false,
        interceptor: NONE,
    };

    /// Finds the operation, and the routes that take its paths and whose forced prefix is not longer.
    const fn of<const N: usize>(
        table: &[&Spec; N],
        index: &PrefixIndex<N>,
        operations: &[&Spec],
        operation: usize,
    ) -> OperationLookup {
        let operation = operations[operation];
        let mut place = OperationLookup::UNKNOWN;
        let mut candidates = index.with_prefix_of(operation);
        while let Some(i) = index.next(&mut candidates) {
            let route = table[i];
            if route.same_resource(operation) {
                if place.own == NONE {
                    place.own = i;
                }
                if is_same(route.operation, operation.operation) && route.same_method(operation) {
                    place.is_handled = true;
                }
            } else if !route.operation.is_empty() && i < place.tried_from && is_wider(route, operation) {
                place.tried_from = i;
            }
        }
        if place.own < place.tried_from {
            place.tried_from = place.own;
        }
        let mut candidates = index.with_prefix_of(operation);
        while let Some(i) = index.next(&mut candidates) {
            if takes_paths(table[i], i, operation, &place) && !is_listed(operations, table[i]) {
                place.add_interceptor(i);
            }
        }
        place
    }

    const fn add_interceptor(&mut self, route: usize) {
        if route < self.interceptor {
            self.interceptor = route;
        }
    }
}

const fn is_wider(route: &Spec, operation: &Spec) -> bool {
    matches!(compare(route, operation), Relation::Wider)
}

const fn compare(route: &Spec, operation: &Spec) -> Relation {
    relation(Automaton(route.automaton), Automaton(operation.automaton))
}

/// Returns `true` if a path of the operation is looked up in this route of another resource first, or in no other route.
const fn takes_paths(route: &Spec, index: usize, operation: &Spec, place: &OperationLookup) -> bool {
    if route.same_resource(operation) {
        return false;
    }
    let relation = compare(route, operation);
    if route.operation.is_empty() {
        return index < place.tried_from && !matches!(relation, Relation::Disjoint);
    }
    match relation {
        Relation::Disjoint => false,
        // It is tried before the operation, wherever it is listed.
        Relation::Narrower => true,
        // It is tried after the operation, if there is a handler of the operation.
        Relation::Wider => place.own == NONE,
        Relation::Equal | Relation::Overlapping => index < place.tried_from || place.own == NONE,
    }
}

/// Returns `true` if a route serves one of these operations.
const fn is_listed(operations: &[&Spec], route: &Spec) -> bool {
    let mut i = 0;
    while i < operations.len() {
        if operations[i].contract == route.contract && is_same(operations[i].operation, route.operation) {
            return true;
        }
        i += 1;
    }
    false
}

/// Panics, which is a compile error, if it is not proven for each of these operations that its responses reach a response handler.
#[track_caller]
pub const fn check_answered<S>(routes: Routes<S>, operations: &[&Spec]) {
    let mut i = 0;
    while i < operations.len() {
        if !is_answered(routes, operations[i]) {
            panic!("{}", unanswered(routes, operations[i]).as_str());
        }
        i += 1;
    }
}

/// Returns `true` if the operation has a response handler, or if every route that takes one of its paths has one without a contract.
pub(crate) const fn is_answered<S>(routes: Routes<S>, operation: &Spec) -> bool {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        let handler = entries[i].route.spec;
        if handler.contract == operation.contract
            && matches!(handler.kind, Kind::Response)
            && is_same(handler.operation, operation.operation)
        {
            return true;
        }
        i += 1;
    }
    has_handlers_without_contract(routes, operation)
}

/// Returns `true` if the responses to all paths of the operation are handled by response handlers without a contract.
const fn has_handlers_without_contract<S>(routes: Routes<S>, operation: &Spec) -> bool {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        let route = entries[i].route.spec;
        let relation = if route.same_resource(operation) {
            Relation::Equal
        } else {
            compare(route, operation)
        };
        if !matches!(relation, Relation::Disjoint) {
            if !has_response_handler_without_contract(routes, route) {
                return false;
            }
            if matches!(relation, Relation::Equal | Relation::Wider) {
                return true;
            }
        }
        i += 1;
    }
    false
}

const fn has_response_handler_without_contract<S>(routes: Routes<S>, resource: &Spec) -> bool {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        let handler = entries[i].route.spec;
        if handler.operation.is_empty()
            && matches!((handler.kind, handler.method), (Kind::Response, Method::Response))
            && handler.same_resource(resource)
        {
            return true;
        }
        i += 1;
    }
    false
}

const fn unanswered<S>(routes: Routes<S>, operation: &Spec) -> ConstString {
    let text = ConstString::new()
        .push("no response handler handles the responses of `")
        .push(operation.name)
        .push("`\n  its path is ")
        .push(operation.pattern);
    let mut text = text.push(" at ").location(operation.file, operation.line);
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        let other = entries[i].route.spec;
        if matches!(other.kind, Kind::Response)
            && !other.operation.is_empty()
            && !matches!(compare(other, operation), Relation::Disjoint)
        {
            text = text
                .push("\n  `")
                .push(other.name)
                .push("` has this path, too, and handles the responses of `")
                .push(other.operation)
                .push("` only");
            break;
        }
        i += 1;
    }
    text.push("\nhelp: list a function with `#[response_handler(")
        .push(operation.name)
        .push(")]`")
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

/// Describes that `route` takes paths of the operation.
const fn intercepted(operation: &Spec, route: &Spec) -> ConstString {
    let is_whole = route.same_resource(operation)
        || matches!(compare(route, operation), Relation::Wider | Relation::Equal);
    let text = if is_whole {
        not_served(operation)
            .push("\n  `")
            .push(route.name)
            .push("` matches this path first: `")
    } else {
        let text = ConstString::new()
            .push("not every call of `")
            .push(operation.name)
            .push("` reaches its handler\n  its path is ")
            .push(operation.pattern);
        text.push(" at ")
            .location(operation.file, operation.line)
            .push("\n  `")
            .push(route.name)
            .push("` matches some of its paths first: `")
    };
    let text = text
        .push(route.pattern)
        .push("` at ")
        .location(route.file, route.line);
    if is_whole || route.operation.is_empty() {
        text.push("\nhelp: list a handler of `")
            .push(operation.name)
            .push("` before `")
            .push(route.name)
            .push("`")
    } else {
        text.push("\nhelp: change the path of `")
            .push(operation.name)
            .push("` or of `")
            .push(route.operation)
            .push("`")
    }
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
///               help: list a function with `#[response_handler(slow_echo::echo)]`
/// ```
#[macro_export]
macro_rules! answered {
    ($routes:expr => $($contract:ident)::+) => {
        #[allow(long_running_const_eval)]
        const _: () = $crate::__private::check_answered($routes, &$($contract)::+::OPERATIONS);
    };
}
