//! The proofs of `routes!`: no route is listed twice, and none is listed behind one that leaves it nothing.

use super::subset::included;
use super::text::Text;
use crate::routing::automaton::Automaton;
use crate::spec::Spec;

/// For every route one more than the index of an earlier one that leaves it nothing to match, or zero.
///
/// `counts` says how many routes each item of the list stands for: pairs within one item, a nested table, were
/// looked at where that table was made.
pub const fn shadow_checks<const N: usize>(specs: &[&Spec; N], counts: &[usize]) -> [u32; N] {
    // Constant evaluation reads local memory much faster than statics.
    let mut heads = [[0u128; 2]; N];
    let mut i = 0;
    while i < N {
        heads[i] = specs[i].prefix.head();
        i += 1;
    }
    let mut shadow_checks = [0; N];
    let (mut start, mut item) = (0, 0);
    while item < counts.len() {
        let end = start + counts[item];
        let mut i = start;
        while i < end {
            shadow_checks[i] = shadow_check(specs, &heads, start, i);
            i += 1;
        }
        start = end;
        item += 1;
    }
    shadow_checks
}

/// The shadow_check on route `i` against all those before `start`.
const fn shadow_check<const N: usize>(
    specs: &[&Spec; N],
    heads: &[[u128; 2]; N],
    start: usize,
    i: usize,
) -> u32 {
    let late = specs[i];
    let head = heads[i][0];
    let (mut shadow, mut settled) = (0, late.is_broken());
    let mut j = 0;
    while j < i {
        if head & heads[j][1] == heads[j][0] && late.prefix.extends(specs[j].prefix) {
            let early = specs[j];
            if late.same_resource(early) {
                if late.same_method(early) && j < start && !late.is_broken() {
                    return j as u32 + 1;
                }
                // The resource stands where its first handler is listed, which was looked at there.
                settled = true;
                shadow = 0;
            } else if !settled && shadow == 0 && j < start && shadows(early, late) {
                shadow = j as u32 + 1;
            }
        }
        j += 1;
    }
    shadow
}

const fn shadows(early: &Spec, late: &Spec) -> bool {
    let (early, late) = (Automaton(early.automaton), Automaton(late.automaton));
    !early.is_absent() && !late.is_absent() && included(late, early)
}

/// Panics, which is a compile error, if the shadow_check on a route of item `item` is bad.
#[track_caller]
pub const fn emit_error(specs: &[&Spec], shadow_checks: &[u32], counts: &[usize], item: usize) {
    let (mut i, mut before) = (0, 0);
    while before < item {
        i += counts[before];
        before += 1;
    }
    let end = i + counts[item];
    while i < end && shadow_checks[i] == 0 {
        i += 1;
    }
    if i == end {
        return;
    }
    let text = conflict(specs[shadow_checks[i] as usize - 1], specs[i]);
    panic!("{}", text.as_str());
}

const fn conflict(early: &Spec, late: &Spec) -> Text {
    let same = early.same_resource(late);
    let text = Text::new()
        .push("route `")
        .push(late.name)
        .push("` can never run: `")
        .push(early.name);
    let text = if same {
        text.push("` has the same path and method")
    } else {
        text.push("`, listed before it, matches every path it matches")
    };
    let text = text
        .push("\n  `")
        .push(late.pattern)
        .push("` at ")
        .place(late.file, late.line);
    let text = text
        .push("\n  `")
        .push(early.pattern)
        .push("` at ")
        .place(early.file, early.line);
    if same {
        text
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
    fn a_route_behind_one_that_takes_all_its_paths_is_found() {
        let (a, root) = (spec("^/a", Method::Get, A), spec("^/", Method::Get, ROOT));
        assert_eq!(shadow_checks(&[&root, &a], &[1, 1]), [0, 1]);
        assert_eq!(shadow_checks(&[&a, &root], &[1, 1]), [0, 0]);
    }

    #[test]
    fn a_resource_stands_where_its_first_handler_is() {
        let (a, post) = (spec("^/a", Method::Get, A), spec("^/a", Method::Post, A));
        let root = spec("^/", Method::Get, ROOT);
        assert_eq!(shadow_checks(&[&a, &root, &post], &[1, 1, 1]), [0, 0, 0]);
        assert_eq!(shadow_checks(&[&a, &root, &a], &[1, 1, 1]), [0, 0, 1]);
        let service = Spec::new("service", "^/a", Method::Get, Kind::Service).with_automaton(A, b"/a", "");
        assert_eq!(shadow_checks(&[&a, &service], &[1, 1]), [0, 0]);
    }

    #[test]
    fn a_nested_table_was_looked_at_where_it_was_made() {
        let (a, root) = (spec("^/a", Method::Get, A), spec("^/", Method::Get, ROOT));
        assert_eq!(shadow_checks(&[&root, &a], &[2]), [0, 0]);
        assert_eq!(shadow_checks(&[&root, &root, &a], &[1, 2]), [0, 1, 1]);
    }

    #[test]
    fn what_is_too_large_is_compared_by_its_text_only() {
        let large = spec("^/[a-z]{1,9999}", Method::Get, &[]);
        let root = spec("^/", Method::Get, ROOT);
        assert_eq!(shadow_checks(&[&root, &large, &large], &[1, 1, 1]), [0, 0, 2]);
    }
}
