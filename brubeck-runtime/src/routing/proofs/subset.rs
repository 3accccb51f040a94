//! Decides in constant evaluation whether one automaton accepts all paths of another.

use crate::routing::automaton::Automaton;

/// Limits the work of one proof: the number of pairs of states.
const MAX_PAIRS: usize = 1024;

/// Slots of the hash set, which is about half full when the proof is given up.
const SLOTS: usize = 2 * MAX_PAIRS;

/// Returns `true` if it is proven that `early` accepts every path that `late` accepts. Returns `false` if this is not so, or if there are
/// more than [`MAX_PAIRS`] pairs of states.
///
/// Both automata are walked in lockstep over all pairs of states that some path reaches. Every state of `late` can still reach
/// acceptance, so the result is `false` as soon as `early` has no edge for a byte that `late` has.
pub(super) const fn is_subset(late: Automaton, early: Automaton) -> bool {
    let mut open = [(0u16, 0u16); MAX_PAIRS];
    let mut seen = PairSet {
        slots: [PairSet::VACANT; SLOTS],
        len: 0,
    };
    seen.insert(0, 0);
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
