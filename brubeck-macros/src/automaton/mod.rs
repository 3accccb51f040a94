//! Compiles a route pattern to the byte automaton of the paths that the pattern matches. Only large automata are not minimal.
//!
//! A pattern matches a *prefix* of the path, like Python's `re.match`: unless it ends in `$`, it accepts every continuation of
//! what it matches.
//!
//! The automaton reads the canonical form of a path: the decoded text, with a byte of its own for an encoded `/`. It may also accept
//! bytes that are not such a path; `canonical` finds the paths among them.
//!
//! The steps are: `nfa` builds a nondeterministic automaton, `dfa` makes it deterministic and minimal and removes dead ends, and this
//! module packs it into bytes for the runtime.

mod canonical;
mod dfa;
mod nfa;

pub(crate) use canonical::encode;
use regex_syntax::hir::Hir;

/// The pattern needs too many states. Its route is matched by a regex, and nothing is proven about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// A deterministic automaton. The first state is the start. In an automaton that [`new`](Automaton::new) returned, every state can still
/// reach an accepting one, unless the automaton accepts nothing: then it has the start state only.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    states: Vec<DfaState>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct DfaState {
    accept: bool,
    /// Disjoint and sorted. A byte in none of them does not match.
    edges: Vec<ByteRange>,
}

/// A transition: the bytes from `low` to `high` lead to the state `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ByteRange {
    low: u8,
    high: u8,
    to: usize,
}

impl DfaState {
    /// Returns `true` if the state accepts and every byte leads back to it. `own` is the index of this state.
    fn accepts_all(&self, own: usize) -> bool {
        self.accept
            && self.edges
                == [ByteRange {
                    low: 0,
                    high: 255,
                    to: own,
                }]
    }

    /// Appends an edge, and joins it with the previous one if they are adjacent and lead to the same state.
    fn push(&mut self, edge: ByteRange) {
        match self.edges.last_mut() {
            Some(last) if last.to == edge.to && u16::from(last.high) + 1 == u16::from(edge.low) => {
                last.high = edge.high;
            }
            _ => self.edges.push(edge),
        }
    }
}

const ACCEPT: u8 = 1;
const ACCEPT_ALL: u8 = 2;

impl Automaton {
    /// Compiles the automaton of the paths that have a prefix which matches `hir`.
    pub(crate) fn new(hir: &Hir) -> Result<Automaton, TooLarge> {
        let nfa = nfa::Nfa::new(hir)?;
        Ok(dfa::trim(dfa::minimize(dfa::determinize(&nfa)?)))
    }

    /// Returns `true` if no path is accepted.
    pub(crate) fn is_empty(&self) -> bool {
        self.states.iter().all(|state| !state.accept)
    }

    /// Packs the automaton for constant evaluation and the router: for each state its flags, the number of its edges, and for each edge
    /// `low`, `high` and the offset of the next state (16 bits, little-endian). Returns an error if an offset needs more than 16 bits.
    pub(crate) fn packed(&self) -> Result<Vec<u8>, TooLarge> {
        let mut offsets = Vec::with_capacity(self.states.len());
        let mut end = 0usize;
        for state in &self.states {
            offsets.push(u16::try_from(end).map_err(|_| TooLarge)?);
            end += 2 + 4 * state.edges.len();
        }
        let mut bytes = Vec::with_capacity(end);
        for (own, state) in self.states.iter().enumerate() {
            // The runtime stops reading the path in a state that accepts every continuation.
            let mut flags = if state.accept { ACCEPT } else { 0 };
            if state.accepts_all(own) {
                flags |= ACCEPT_ALL;
            }
            bytes.push(flags);
            bytes.push(u8::try_from(state.edges.len()).map_err(|_| TooLarge)?);
            for edge in &state.edges {
                let [low, high] = offsets[edge.to].to_le_bytes();
                bytes.extend([edge.low, edge.high, low, high]);
            }
        }
        Ok(bytes)
    }

    #[cfg(test)]
    pub(crate) fn accepts(&self, path: &[u8]) -> bool {
        let mut state = 0;
        for &byte in path {
            let mut edges = self.states[state].edges.iter();
            match edges.find(|edge| edge.low <= byte && byte <= edge.high) {
                Some(edge) => state = edge.to,
                None => return false,
            }
        }
        self.states[state].accept
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
pub(crate) use property::reference;
#[cfg(test)]
mod tests;
