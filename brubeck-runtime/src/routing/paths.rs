//! Checks the path of a typed call before it is sent without the name of its operation.

use super::automaton::Automaton;
use super::proofs::{Relation, relation};
use crate::rpc::api::ServiceRequest;
use crate::target::call_path;

/// Describes why a service that routes a typed call by its path would not run its operation with the same arguments. Returns `None` if it
/// would.
///
/// An argument that is empty leaves a segment empty, which matches no parameter. Of two operations, the one with fewer paths is tried first,
/// so the arguments of the other one must not make one of these paths.
pub(crate) fn misrouted(request: &ServiceRequest) -> Option<String> {
    let (name, contract) = request.contract_routes()?;
    let operation = contract.iter().find(|operation| operation.operation == name)?;
    let path = call_path(request.path());
    let own = Automaton(operation.automaton);
    if own.is_absent() {
        return None;
    }
    let arguments = || {
        let arguments = request.path_arguments.iter();
        let texts: Vec<String> = arguments
            .map(|(name, text)| format!("`{name}` is {text:?}"))
            .collect();
        texts.join(" and ")
    };
    if !own.matches(path.bytes()) {
        return Some(format!(
            "`{name}` cannot be called by its path `{}` if {}: a parameter of a path has at least one character; change the argument, \
             or call a service that speaks brubeck's protocol",
            operation.pattern,
            arguments()
        ));
    }
    let other = contract.iter().find(|other| {
        let automaton = Automaton(other.automaton);
        !other.same_resource(operation)
            && !automaton.is_absent()
            && automaton.matches(path.bytes())
            && relation(automaton, own) != Relation::Wider
    })?;
    Some(format!(
        "`{name}` cannot be called by its path `{}` if {}: the path {} belongs to `{}`; change the argument, or call a service that \
         speaks brubeck's protocol",
        operation.pattern,
        arguments(),
        request.path(),
        other.operation
    ))
}
