//! Compares the paths of two automata in constant evaluation.

use crate::routing::automaton::Automaton;

/// Limits the work of one proof: the number of pairs of states.
const MAX_PAIRS: usize = 1024;

/// Slots of the hash set, which is about half full when the proof is given up.
const SLOTS: usize = 2 * MAX_PAIRS;

/// How the paths of one automaton relate to those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// No path matches both.
    Disjoint,
    /// All paths of the first one are paths of the second one, which has more.
    Narrower,
    /// All paths of the second one are paths of the first one, which has more.
    Wider,
    Equal,
    /// Some paths match both, and each has paths of its own; or neither was proven.
    Overlapping,
}

/// Compares two automata. Nothing is known of an absent one, so it counts as disjoint.
pub(crate) const fn relation(first: Automaton, second: Automaton) -> Relation {
    if first.is_absent() || second.is_absent() || !overlaps(first, second) {
        return Relation::Disjoint;
    }
    match (is_subset(first, second), is_subset(second, first)) {
        (true, true) => Relation::Equal,
        (true, false) => Relation::Narrower,
        (false, true) => Relation::Wider,
        (false, false) => Relation::Overlapping,
    }
}

/// Returns `false` if it is proven that no path is accepted by both.
///
/// Every state can still reach acceptance, so the result is `true` if one automaton accepts every continuation.
const fn overlaps(first: Automaton, second: Automaton) -> bool {
    let mut open = [(0u16, 0u16); MAX_PAIRS];
    let mut seen = PairSet::with_start();
    let mut open_len = 1;
    while open_len > 0 {
        open_len -= 1;
        let (a, b) = open[open_len];
        if first.accepts(a) && second.accepts(b) || first.accepts_all(a) || second.accepts_all(b) {
            return true;
        }
        let (mut i, mut j) = (0, 0);
        while i < first.edges(a) && j < second.edges(b) {
            let (edge, other) = (first.edge(a, i), second.edge(b, j));
            if edge.low <= other.high && other.low <= edge.high && seen.insert(edge.to, other.to) {
                if seen.len > MAX_PAIRS {
                    return true;
                }
                open[open_len] = (edge.to, other.to);
                open_len += 1;
            }
            if edge.high < other.high {
                i += 1;
            } else {
                j += 1;
            }
        }
    }
    false
}

/// Returns `true` if it is proven that `early` accepts every path that `late` accepts. Returns `false` if this is not so, or if there are
/// more than [`MAX_PAIRS`] pairs of states.
///
/// Both automata are walked in lockstep over all pairs of states that some path reaches. Every state of `late` can still reach
/// acceptance, so the result is `false` as soon as `early` has no edge for a byte that `late` has.
pub(super) const fn is_subset(late: Automaton, early: Automaton) -> bool {
    let mut open = [(0u16, 0u16); MAX_PAIRS];
    let mut seen = PairSet::with_start();
    let mut open_len = 1;
    while open_len > 0 {
        open_len -= 1;
        let (late_state, early_state) = open[open_len];
        if early.accepts_all(early_state) {
            continue;
        }
        if late.accepts(late_state) && !early.accepts(early_state) {
            return false;
        }
        // The edges of both states are sorted, so one pass over both finds the `early` edges for each `late` edge.
        let (mut late_index, mut early_index) = (0, 0);
        while late_index < late.edges(late_state) {
            let late_edge = late.edge(late_state, late_index);
            let mut byte = late_edge.low as u16;
            while byte <= late_edge.high as u16 {
                while early_index < early.edges(early_state)
                    && (early.edge(early_state, early_index).high as u16) < byte
                {
                    early_index += 1;
                }
                if early_index == early.edges(early_state)
                    || early.edge(early_state, early_index).low as u16 > byte
                {
                    return false;
                }
                let early_edge = early.edge(early_state, early_index);
                if seen.insert(late_edge.to, early_edge.to) {
                    if seen.len > MAX_PAIRS {
                        return false;
                    }
                    open[open_len] = (late_edge.to, early_edge.to);
                    open_len += 1;
                }
                byte = early_edge.high as u16 + 1;
            }
            late_index += 1;
        }
    }
    true
}

/// A set of pairs of states: a hash table with open addressing, since constant evaluation has no `HashSet`.
struct PairSet {
    slots: [u32; SLOTS],
    len: usize,
}

impl PairSet {
    /// Not a pair of states: a state takes an even number of bytes, so its offset is even and never `u16::MAX`.
    const VACANT: u32 = u32::MAX;

    /// Creates the set of the pair of start states.
    const fn with_start() -> PairSet {
        let mut set = PairSet {
            slots: [PairSet::VACANT; SLOTS],
            len: 0,
        };
        set.insert(0, 0);
        set
    }

    /// Adds a pair. Returns `true` if it is new.
    const fn insert(&mut self, late_state: u16, early_state: u16) -> bool {
        let pair = (late_state as u32) << 16 | early_state as u32;
        let mut slot = (pair.wrapping_mul(0x9E37_79B1) >> 16) as usize % SLOTS;
        loop {
            if self.slots[slot] == pair {
                return false;
            }
            if self.slots[slot] == PairSet::VACANT {
                self.slots[slot] = pair;
                self.len += 1;
                return true;
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::automaton::tests::{EXACT, PREFIX, packed_path};

    #[test]
    fn compares_the_paths_of_automata() {
        let a = Automaton(packed_path("/a"));
        let ab = Automaton(packed_path("/ab"));
        assert_eq!(relation(PREFIX, EXACT), Relation::Disjoint);
        assert_eq!(relation(a, ab), Relation::Disjoint);
        assert_eq!(relation(a, PREFIX), Relation::Narrower);
        assert_eq!(relation(PREFIX, ab), Relation::Wider);
        assert_eq!(relation(ab, ab), Relation::Equal);
        assert_eq!(relation(Automaton(&[]), ab), Relation::Disjoint);
        // `/a` and one more byte, and `/`, any byte and `b`.
        let one_more = Automaton(&[
            0, 1, b'/', b'/', 6, 0, 0, 1, b'a', b'a', 12, 0, 0, 1, 0, 255, 18, 0, 1, 0,
        ]);
        let ends_in_b = Automaton(&[
            0, 1, b'/', b'/', 6, 0, 0, 1, 0, 255, 12, 0, 0, 1, b'b', b'b', 18, 0, 1, 0,
        ]);
        assert_eq!(relation(one_more, ends_in_b), Relation::Overlapping);
    }
}
