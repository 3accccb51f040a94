//! The proof of `serves!`: every operation of a contract reaches a handler for it.

use super::automaton::Automaton;
use super::inclusion::included;
use super::spec::Spec;
use super::table::Routes;
use super::text::Text;

/// Panics, which is a compile error, if a call of a contract would reach no handler.
#[track_caller]
pub const fn check_served<S>(routes: Routes<S>, operations: &[&Spec]) {
    let mut i = 0;
    while i < operations.len() {
        if !is_served(routes, operations[i]) {
            let operation = operations[i];
            let text = Text::new()
                .push("no route serves `")
                .push(operation.name)
                .push("`\n  the contract sends `")
                .push(operation.method.as_str())
                .push("` to ")
                .push(operation.pattern)
                .push(" at ")
                .place(operation.file, operation.line);
            panic!("{}", text.as_str());
        }
        i += 1;
    }
}

const fn is_served<S>(routes: Routes<S>, operation: &Spec) -> bool {
    let entries = routes.entries();
    let mut i = 0;
    while i < entries.len() {
        let spec = entries[i].spec;
        if spec.same_method(operation) && covers(spec, operation) {
            return true;
        }
        i += 1;
    }
    false
}

const fn covers(route: &Spec, operation: &Spec) -> bool {
    if route.same_resource(operation) {
        return true;
    }
    let (route, operation) = (Automaton(route.automaton), Automaton(operation.automaton));
    !route.is_absent() && !operation.is_absent() && included(operation, route)
}
