//! The proofs of `routes!`: no route is listed twice, and no route is shadowed by an earlier one.

use super::prefix_index::PrefixIndex;
use super::subset::is_subset;
use crate::const_string::ConstString;
use crate::routing::automaton::Automaton;
use crate::spec::Spec;

/// Returns a number for each route: one plus the index of an earlier route that shadows it or has the same pattern, kind and method, or
/// zero if there is no such route.
///
/// `counts` is the number of routes of each entry of the list. Two routes of one entry, which is a nested table, are not compared:
/// that was done where the table was defined.
pub const fn shadow_checks<const N: usize>(specs: &[&Spec; N], counts: &[usize]) -> [u32; N] {
    let mut earlier = PrefixIndex::<N>::new();
    let mut checks = [0; N];
    let (mut start, mut item) = (0, 0);
    while item < counts.len() {
        let end = start + counts[item];
        let mut i = start;
        while i < end {
            checks[i] = shadow_check(specs, &earlier, start, i);
            earlier.push(i, specs[i].prefix);
            i += 1;
        }
        start = end;
        item += 1;
    }
    checks
}

/// Checks the route with this index against all routes before `start`, where its entry of the list begins. Returns its number for
/// [`shadow_checks`].
const fn shadow_check<const N: usize>(
    specs: &[&Spec; N],
    earlier: &PrefixIndex<N>,
    start: usize,
    index: usize,
) -> u32 {
    let late = specs[index];
    let (mut shadow, mut is_decided) = (0, late.is_broken());
    // A route can only be shadowed by one whose forced prefix is a prefix of its own. This excludes almost all pairs.
    let mut candidates = earlier.with_prefix_of(late.prefix);
    while let Some(i) = earlier.next(&mut candidates) {
        let early = specs[i];
        if late.prefix.extends(early.prefix) {
            if late.same_resource(early) {
                if late.same_method(early) && i < start && !late.is_broken() {
                    return i as u32 + 1;
                }
                // A resource is at the position of its first handler, which was checked itself.
                is_decided = true;
                shadow = 0;
            } else if !is_decided && shadow == 0 && i < start && shadows(early, late) {
                shadow = i as u32 + 1;
            }
        }
    }
    shadow
}

const fn shadows(early: &Spec, late: &Spec) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Kind, Method};

    const A: &[u8] = &[
        0, 1, b'/', b'/', 6, 0, 0, 1, b'a', b'a', 12, 0, 3, 1, 0, 255, 12, 0,
    ];
    const ROOT: &[u8] = &[0, 1, b'/', b'/', 6, 0, 3, 1, 0, 255, 6, 0];

    fn spec(pattern: &'static str, method: Method, automaton: &'static [u8]) -> Spec {
        let prefix: &[u8] = if automaton == A { b"/a" } else { b"/" };
        Spec::new("route", pattern, method, Kind::Web).with_automaton(automaton, prefix, "")
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
        let service = Spec::new("service", "^/a", Method::Get, Kind::Service).with_automaton(A, b"/a", "");
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
