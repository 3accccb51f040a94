//! Language inclusion of two automata, in constant evaluation.

use crate::routing::automaton::Automaton;

const PAIRS: usize = 1024;
const SLOTS: usize = 2 * PAIRS;

/// Is every path that `late` accepts accepted by `early`? Every state of `late` can reach acceptance, so a
/// pair in which `early` refuses answers no at once. Gives up and says no beyond 1,024 pairs of states.
pub(super) const fn included(late: Automaton, early: Automaton) -> bool {
    let mut open = [(0u16, 0u16); PAIRS];
    let mut seen = Seen {
        slots: [u32::MAX; SLOTS],
        len: 0,
    };
    seen.insert(0, 0);
    let mut len = 1;
    while len > 0 {
        len -= 1;
        let (a, b) = open[len];
        if early.accepts_all(b) {
            continue;
        }
        if late.accepts(a) && !early.accepts(b) {
            return false;
        }
        let (mut i, mut k) = (0, 0);
        while i < late.edges(a) {
            let edge = late.edge(a, i);
            let mut at = edge.low as u16;
            while at <= edge.high as u16 {
                while k < early.edges(b) && (early.edge(b, k).high as u16) < at {
                    k += 1;
                }
                if k == early.edges(b) || early.edge(b, k).low as u16 > at {
                    return false;
                }
                let other = early.edge(b, k);
                if seen.insert(edge.to, other.to) {
                    if seen.len > PAIRS {
                        return false;
                    }
                    open[len] = (edge.to, other.to);
                    len += 1;
                }
                at = other.high as u16 + 1;
            }
            i += 1;
        }
    }
    true
}

/// The pairs that were met: a hash set with open addressing.
struct Seen {
    slots: [u32; SLOTS],
    len: usize,
}

impl Seen {
    /// Whether the pair is new.
    const fn insert(&mut self, a: u16, b: u16) -> bool {
        let pair = (a as u32) << 16 | b as u32;
        let mut slot = (pair.wrapping_mul(0x9E37_79B1) >> 16) as usize % SLOTS;
        loop {
            if self.slots[slot] == pair {
                return false;
            }
            if self.slots[slot] == u32::MAX {
                self.slots[slot] = pair;
                self.len += 1;
                return true;
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}
