//! Reads the packed byte automaton that the attribute macros build from a pattern.
//!
//! Each state consists of its flags, the number of its edges, and for each edge its lowest byte, its highest byte and the
//! offset of the next state (16 bits, little-endian). The start state is the first one. A byte without an edge does not match.
//! Every state can still reach an accepting one.

const ACCEPT: u8 = 1;
const ACCEPT_ALL: u8 = 2;

/// A packed automaton. Its bytes come from our own macros, so they are not validated: a wrong offset would panic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Automaton(pub(super) &'static [u8]);

/// The bytes from `low` to `high` lead to the state at the offset `to`.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) low: u8,
    pub(super) high: u8,
    pub(super) to: u16,
}

impl Automaton {
    /// Returns `true` if there is no automaton: the pattern was too large, or its handler has an error.
    pub(super) const fn is_absent(self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn accepts(self, state: u16) -> bool {
        self.0[state as usize] & ACCEPT != 0
    }

    /// Returns `true` if every continuation is accepted, so that the rest of the path need not be read.
    pub(super) const fn accepts_all(self, state: u16) -> bool {
        self.0[state as usize] & ACCEPT_ALL != 0
    }

    pub(super) const fn edges(self, state: u16) -> usize {
        self.0[state as usize + 1] as usize
    }

    pub(super) const fn edge(self, state: u16, index: usize) -> Edge {
        let at = state as usize + 2 + 4 * index;
        let to = u16::from_le_bytes([self.0[at + 2], self.0[at + 3]]);
        Edge {
            low: self.0[at],
            high: self.0[at + 1],
            to,
        }
    }

    /// Returns the edge of the only byte that can follow in a state. Returns `None` if a path may end there, or if several bytes can
    /// follow.
    ///
    /// It reads the bytes itself: constant evaluation calls it for each byte of each path, and a call is expensive there.
    pub(super) const fn forced_edge(self, state: u16) -> Option<Edge> {
        let (bytes, at) = (self.0, state as usize);
        if bytes.is_empty() || bytes[at] & ACCEPT != 0 || bytes[at + 1] != 1 || bytes[at + 2] != bytes[at + 3]
        {
            return None;
        }
        Some(Edge {
            low: bytes[at + 2],
            high: bytes[at + 2],
            to: bytes[at + 4] as u16 | (bytes[at + 5] as u16) << 8,
        })
    }

    /// Returns the bytes that every path begins with.
    ///
    /// This ends: a cycle of such edges would never accept a path.
    pub(super) fn forced_prefix(self) -> Vec<u8> {
        let (mut prefix, mut state) = (Vec::new(), 0);
        while let Some(edge) = self.forced_edge(state) {
            prefix.push(edge.low);
            state = edge.to;
        }
        prefix
    }

    /// Matches a path with this automaton only. The router uses combined automata.
    pub(super) fn matches(self, path: &[u8]) -> bool {
        let mut state = 0;
        for &byte in path {
            if self.accepts_all(state) {
                return true;
            }
            match self.step(state, byte) {
                Some(next) => state = next,
                None => return false,
            }
        }
        self.accepts(state)
    }

    pub(super) fn step(self, state: u16, byte: u8) -> Option<u16> {
        (0..self.edges(state))
            .map(|i| self.edge(state, i))
            .find(|e| e.low <= byte && byte <= e.high)
            .map(|e| e.to)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::Automaton;

    /// `^/a`, as the macros pack it.
    pub(in crate::routing) const PREFIX: Automaton = Automaton(&[
        0, 1, b'/', b'/', 6, 0, 0, 1, b'a', b'a', 12, 0, 3, 1, 0, 255, 12, 0,
    ]);
    /// `^/$`
    pub(in crate::routing) const EXACT: Automaton = Automaton(&[0, 1, b'/', b'/', 6, 0, 1, 0]);

    /// Packs the automaton of one path.
    pub(in crate::routing) fn packed_path(path: &str) -> &'static [u8] {
        let mut packed = Vec::new();
        for byte in path.bytes() {
            let next = u16::try_from(packed.len() + 6).unwrap().to_le_bytes();
            packed.extend([0, 1, byte, byte, next[0], next[1]]);
        }
        packed.extend([1, 0]);
        packed.leak()
    }

    #[test]
    fn packed_automaton_matches_prefixes_and_exact_paths() {
        assert!(PREFIX.matches(b"/a") && PREFIX.matches(b"/abc\xff"));
        assert!(!PREFIX.matches(b"/") && !PREFIX.matches(b"/b") && !PREFIX.matches(b""));
        assert!(EXACT.matches(b"/") && !EXACT.matches(b"//"));
    }
}
