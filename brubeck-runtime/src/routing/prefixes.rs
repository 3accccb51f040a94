//! The literal texts that the paths of a route begin with, for web servers that select an application by such texts.

use super::automaton::Automaton;
use crate::spec::Spec;
use std::collections::VecDeque;

/// Limit for the texts that [`prefixes`] returns.
const MAX_PREFIXES: usize = 16;
/// The number of different next bytes from which on a prefix ends instead of continuing with each of them.
const MAX_BRANCHES: usize = 8;

/// Returns up to [`MAX_PREFIXES`] texts of `is_allowed` bytes, so that every path of a route starts with one of them, in the canonical form.
/// The only one is empty if the pattern has no automaton.
pub(crate) fn prefixes(spec: &Spec, is_allowed: fn(u8) -> bool) -> Vec<Vec<u8>> {
    Automaton(spec.automaton).prefixes(is_allowed)
}

/// The beginning of some paths, and the state after it.
struct Branch {
    prefix: Vec<u8>,
    state: u16,
    /// The states up to this one, so that a repetition is not followed without end.
    passed: Vec<u16>,
}

impl Branch {
    fn start() -> Branch {
        Branch {
            prefix: Vec::new(),
            state: 0,
            passed: vec![0],
        }
    }

    fn followed_by(&self, byte: u8, state: u16) -> Branch {
        let (mut prefix, mut passed) = (self.prefix.clone(), self.passed.clone());
        prefix.push(byte);
        passed.push(state);
        Branch {
            prefix,
            state,
            passed,
        }
    }
}

impl Automaton {
    /// Returns texts of `is_allowed` bytes: every accepted path starts with one of them.
    fn prefixes(self, is_allowed: fn(u8) -> bool) -> Vec<Vec<u8>> {
        let (mut complete, mut open) = (Vec::new(), VecDeque::from([Branch::start()]));
        while let Some(branch) = open.pop_front() {
            let next = self.continuations(&branch, is_allowed);
            if next.is_empty() || complete.len() + open.len() + next.len() > MAX_PREFIXES {
                complete.push(branch.prefix);
            } else {
                open.extend(next);
            }
        }
        complete
    }

    /// Returns the branches that continue this one by a byte. Returns none if the prefix must end: a path may end there, a byte is not
    /// allowed, a repetition begins again, or too many bytes can follow.
    fn continuations(self, branch: &Branch, is_allowed: fn(u8) -> bool) -> Vec<Branch> {
        if self.is_absent() || self.accepts(branch.state) {
            return Vec::new();
        }
        let edges = (0..self.edges(branch.state)).map(|index| self.edge(branch.state, index));
        let next: Vec<(u8, u16)> = edges
            .flat_map(|edge| (edge.low..=edge.high).map(move |byte| (byte, edge.to)))
            .take(MAX_BRANCHES + 1)
            .collect();
        let must_end = |&(byte, state): &(u8, u16)| !is_allowed(byte) || branch.passed.contains(&state);
        if next.len() > MAX_BRANCHES || next.iter().any(must_end) {
            return Vec::new();
        }
        next.into_iter()
            .map(|(byte, state)| branch.followed_by(byte, state))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::automaton::tests::{EXACT, PREFIX};
    use super::*;

    /// `^/(?:ab|b)*c`
    const REPEATED: Automaton = Automaton(&[
        0, 1, b'/', b'/', 6, 0, 0, 3, b'a', b'a', 20, 0, b'b', b'b', 6, 0, b'c', b'c', 26, 0, 0, 1, b'b',
        b'b', 6, 0, 3, 1, 0, 255, 26, 0,
    ]);

    #[test]
    fn prefixes_end_where_the_path_may_end_or_repeats() {
        let cases = [
            (PREFIX, "/a"),
            (EXACT, "/"),
            (REPEATED, "/"),
            (Automaton(&[]), ""),
        ];
        for (automaton, prefix) in cases {
            assert_eq!(automaton.prefixes(|_| true), [prefix.as_bytes()]);
        }
        assert!(REPEATED.matches(b"/abbbabcd") && !REPEATED.matches(b"/a"));
        assert_eq!(PREFIX.prefixes(|byte| byte == b'/'), [b"/"]);
    }
}
