//! The proofs of `routes!`: no route is listed twice, no route is shadowed by an earlier one, and of two operations that share paths, one has
//! fewer paths than the other.

use super::prefix_index::PrefixIndex;
use super::subset::{Relation, is_subset, relation};
use crate::const_string::{ConstString, is_same};
use crate::method::Kind;
use crate::routing::automaton::Automaton;
use crate::spec::Spec;

/// Returns a number for each route: one plus the index of another route with which it conflicts, or zero if it conflicts with no other. An earlier route
/// conflicts if it shadows the route, or has the same pattern, kind and method. Another operation conflicts if some paths match both, and each
/// has paths of its own.
///
/// `counts` is the number of routes of each entry of the list. Two routes of one entry, which is a nested table, are not compared:
/// that was done where the table was defined. Only the operations of a contract are compared in each table, because `#[service_client]`
/// makes their table without checks.
pub const fn shadow_checks<const N: usize>(specs: &[&Spec; N], counts: &[usize]) -> [u32; N] {
    let index = PrefixIndex::of(specs);
    let mut checks = [0; N];
    let (mut start, mut item) = (0, 0);
    while item < counts.len() {
        let end = start + counts[item];
        let mut i = start;
        while i < end {
            checks[i] = shadow_check(specs, &index, start, i);
            i += 1;
        }
        start = end;
        item += 1;
    }
    checks
}

/// Checks the route with this index against all routes before `start`, where its entry of the list begins, and an operation against all
/// others. Returns its number for [`shadow_checks`].
const fn shadow_check<const N: usize>(
    specs: &[&Spec; N],
    index: &PrefixIndex<N>,
    start: usize,
    late_index: usize,
) -> u32 {
    let late = specs[late_index];
    let (mut shadow, mut overlap, mut is_decided) = (0, 0, late.is_broken());
    // Only routes whose forced prefix is a prefix of its own can shadow it. This excludes almost all pairs. Of two operations that overlap,
    // the one with the longer prefix finds the other one.
    let mut candidates = index.with_prefix_of(late);
    while let Some(i) = index.next(&mut candidates) {
        let early = specs[i];
        if late.same_resource(early) {
            if i < start
                && late.same_method(early)
                && !late.is_broken()
                && !are_separate_responses(early, late)
            {
                return i as u32 + 1;
            }
            if i < late_index {
                // A resource is at the position of its first handler, which was checked itself.
                is_decided = true;
                shadow = 0;
            }
        } else if is_operation(early) && is_operation(late) {
            // Of two operations, the one with fewer paths is tried first.
            let is_first = i < late_index || index.prefix_len(i) < index.prefix_len(late_index);
            if is_first && overlap == 0 && conflicts(early, late) {
                overlap = i as u32 + 1;
            }
        } else if i < start && !is_decided && shadow == 0 && shadows(early, late) {
            shadow = i as u32 + 1;
        }
    }
    if shadow != 0 { shadow } else { overlap }
}

/// Returns `true` for a handler that calls in a dialect of the Python original find by their path.
const fn is_operation(spec: &Spec) -> bool {
    !spec.operation.is_empty() && !is_response_handler(spec)
}

const fn is_response_handler(spec: &Spec) -> bool {
    matches!(spec.kind, Kind::Response)
}

/// Returns `true` for the response handlers of two operations with the same path: responses are routed by operation.
const fn are_separate_responses(early: &Spec, late: &Spec) -> bool {
    is_response_handler(early)
        && is_response_handler(late)
        && !late.operation.is_empty()
        && !early.operation.is_empty()
        && !is_same(early.operation, late.operation)
}

/// Returns `true` if some paths belong to both operations, and neither has fewer paths.
const fn conflicts(early: &Spec, late: &Spec) -> bool {
    let relation = relation(Automaton(early.automaton), Automaton(late.automaton));
    matches!(relation, Relation::Equal | Relation::Overlapping)
}

const fn shadows(early: &Spec, late: &Spec) -> bool {
    // The responses of an operation are routed by its name, whatever its path is.
    if is_response_handler(late) && !late.operation.is_empty() {
        return false;
    }
    let (early, late) = (Automaton(early.automaton), Automaton(late.automaton));
    !early.is_absent() && !late.is_absent() && is_subset(late, early)
}

/// Returns a number for each entry of the list: one plus the index of its first route that is shadowed or listed twice, or zero if there is no
/// such route.
pub const fn first_errors<const N: usize>(shadow_checks: &[u32], counts: &[usize; N]) -> [usize; N] {
    let mut errors = [0; N];
    let (mut i, mut item) = (0, 0);
    while item < N {
        let end = i + counts[item];
        while i < end {
            if shadow_checks[i] != 0 && errors[item] == 0 {
                errors[item] = i + 1;
            }
            i += 1;
        }
        item += 1;
    }
    errors
}

/// Panics, which is a compile error, if a route of an entry of the list is shadowed or listed twice. `first_error` is the number of the entry
/// from [`first_errors`].
#[track_caller]
pub const fn emit_error(specs: &[&Spec], shadow_checks: &[u32], first_error: usize) {
    if first_error != 0 {
        let late = first_error - 1;
        let text = conflict(specs[shadow_checks[late] as usize - 1], specs[late]);
        panic!("{}", text.as_str());
    }
}

const fn conflict(early: &Spec, late: &Spec) -> ConstString {
    let same = early.same_resource(late);
    if !same && is_operation(early) && is_operation(late) {
        return ambiguous(early, late);
    }
    let text = ConstString::new()
        .push("route `")
        .push(late.name)
        .push("` can never run: `")
        .push(early.name);
    let text = if same {
        text.push("`, listed before it, has the same path and method")
    } else {
        text.push("`, listed before it, matches every path it matches")
    };
    let text = text
        .push("\n  `")
        .push(late.pattern)
        .push("` at ")
        .location(late.file, late.line);
    let text = text
        .push("\n  `")
        .push(early.pattern)
        .push("` at ")
        .location(early.file, early.line);
    if same {
        text.push("\nhelp: remove one of them from the list")
    } else {
        text.push("\nhelp: list `")
            .push(late.name)
            .push("` before `")
            .push(early.name)
            .push("`")
    }
}

/// Describes two operations that share paths.
const fn ambiguous(early: &Spec, late: &Spec) -> ConstString {
    let text = ConstString::new()
        .push("the operations `")
        .push(early.operation)
        .push("` and `")
        .push(late.operation)
        .push("` have paths in common, and neither has fewer paths than the other");
    let text = text
        .push("\n  `")
        .push(early.pattern)
        .push("` at ")
        .location(early.file, early.line);
    let text = text
        .push("\n  `")
        .push(late.pattern)
        .push("` at ")
        .location(late.file, late.line);
    text.push("\nhelp: change one of the paths, so that no path belongs to both, or all paths of one belong to the other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;

    const A: &[u8] = &[
        0, 1, b'/', b'/', 6, 0, 0, 1, b'a', b'a', 12, 0, 3, 1, 0, 255, 12, 0,
    ];
    const ROOT: &[u8] = &[0, 1, b'/', b'/', 6, 0, 3, 1, 0, 255, 6, 0];

    fn spec(pattern: &'static str, method: Method, automaton: &'static [u8]) -> Spec {
        Spec::new("route", pattern, method, Kind::Web).with_automaton(automaton, "")
    }

    #[test]
    fn finds_route_that_an_earlier_one_shadows() {
        let (a, root) = (spec("^/a", Method::Get, A), spec("^/", Method::Get, ROOT));
        assert_eq!(shadow_checks(&[&root, &a], &[1, 1]), [0, 1]);
        assert_eq!(shadow_checks(&[&a, &root], &[1, 1]), [0, 0]);
    }

    #[test]
    fn resource_is_at_the_position_of_its_first_handler() {
        let (a, post) = (spec("^/a", Method::Get, A), spec("^/a", Method::Post, A));
        let root = spec("^/", Method::Get, ROOT);
        assert_eq!(shadow_checks(&[&a, &root, &post], &[1, 1, 1]), [0, 0, 0]);
    }

    #[test]
    fn finds_route_with_same_method_and_kind_in_one_resource() {
        let (a, root) = (spec("^/a", Method::Get, A), spec("^/", Method::Get, ROOT));
        assert_eq!(shadow_checks(&[&a, &root, &a], &[1, 1, 1]), [0, 0, 1]);
        let service = Spec::new("service", "^/a", Method::Get, Kind::Service).with_automaton(A, "");
        assert_eq!(shadow_checks(&[&a, &service], &[1, 1]), [0, 0]);
    }

    #[test]
    fn routes_of_one_nested_table_are_not_compared() {
        let (a, root) = (spec("^/a", Method::Get, A), spec("^/", Method::Get, ROOT));
        assert_eq!(shadow_checks(&[&root, &a], &[2]), [0, 0]);
        assert_eq!(shadow_checks(&[&root, &root, &a], &[1, 2]), [0, 1, 1]);
    }

    #[test]
    fn pattern_without_automaton_is_compared_by_its_text() {
        let large = spec("^/[a-z]{1,9999}", Method::Get, &[]);
        let root = spec("^/", Method::Get, ROOT);
        assert_eq!(shadow_checks(&[&root, &large, &large], &[1, 1, 1]), [0, 0, 2]);
    }
}
