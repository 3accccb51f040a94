//! Path automata: a route pattern as the minimal byte automaton of the paths it matches.
//!
//! A pattern matches a *prefix* of the path, as Python's `re.match`: one that does not end in `$` accepts every
//! extension of what it matches.

mod nfa;
mod subset;

use regex_syntax::hir::Hir;
use std::collections::{HashMap, VecDeque};

/// The pattern needs more states than a proof is worth: its route goes unproven and is matched by a regex.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// A deterministic automaton in which every state can still reach acceptance; the first state is the start.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    states: Vec<State>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct State {
    accept: bool,
    /// Disjoint and sorted; a byte in none of them is refused.
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Edge {
    low: u8,
    high: u8,
    to: usize,
}

impl State {
    /// Whether every continuation is accepted from here.
    fn accepts_all(&self, own: usize) -> bool {
        self.accept
            && self.edges
                == [Edge {
                    low: 0,
                    high: 255,
                    to: own,
                }]
    }

    /// Appends an edge, joining it to the one before where it continues that.
    fn push(&mut self, edge: Edge) {
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
    /// The automaton of the paths of which a prefix matches `hir`.
    pub(crate) fn new(hir: &Hir) -> Result<Automaton, TooLarge> {
        let nfa = nfa::Nfa::new(hir)?;
        Ok(subset::trim(subset::minimize(subset::determinize(&nfa)?)))
    }

    /// Whether no path at all is accepted.
    pub(crate) fn is_empty(&self) -> bool {
        self.states.iter().all(|state| !state.accept)
    }

    /// The bytes every accepted path starts with.
    pub(crate) fn forced_prefix(&self) -> Vec<u8> {
        let (mut at, mut prefix) = (0, Vec::new());
        // A cycle of forced bytes would accept nothing, and `trim` leaves no such state.
        while let State { accept: false, edges } = &self.states[at] {
            match edges[..] {
                [Edge { low, high, to }] if low == high => {
                    prefix.push(low);
                    at = to;
                }
                _ => break,
            }
        }
        prefix
    }

    /// A shortest accepted path of printable ASCII, if there is one.
    pub(crate) fn example(&self) -> Option<String> {
        let mut came_from: HashMap<usize, (usize, u8)> = HashMap::new();
        let mut open = VecDeque::from([0]);
        while let Some(at) = open.pop_front() {
            if self.states[at].accept {
                let (mut at, mut bytes) = (at, Vec::new());
                while at != 0 {
                    let (before, byte) = came_from[&at];
                    bytes.push(byte);
                    at = before;
                }
                bytes.reverse();
                return String::from_utf8(bytes).ok();
            }
            let mut steps: Vec<_> = self.states[at]
                .edges
                .iter()
                .filter_map(|edge| printable(edge.low, edge.high).map(|(rank, byte)| (rank, byte, edge.to)))
                .collect();
            steps.sort_unstable();
            for (_, byte, to) in steps {
                if to != 0 && !came_from.contains_key(&to) {
                    came_from.insert(to, (at, byte));
                    open.push_back(to);
                }
            }
        }
        None
    }

    /// The form constant evaluation and the router read: for each state its flags, the number of its edges, and
    /// for each edge `low`, `high` and the offset of the state it leads to, little-endian.
    pub(crate) fn packed(&self) -> Result<Vec<u8>, TooLarge> {
        let mut offsets = Vec::with_capacity(self.states.len());
        let mut end = 0usize;
        for state in &self.states {
            offsets.push(u16::try_from(end).map_err(|_| TooLarge)?);
            end += 2 + 4 * state.edges.len();
        }
        let mut bytes = Vec::with_capacity(end);
        for (own, state) in self.states.iter().enumerate() {
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
        let mut at = 0;
        for &byte in path {
            match self.states[at]
                .edges
                .iter()
                .find(|edge| edge.low <= byte && byte <= edge.high)
            {
                Some(edge) => at = edge.to,
                None => return false,
            }
        }
        self.states[at].accept
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }
}

/// The byte of a range that reads best in a path, and how well it does: less is better.
fn printable(low: u8, high: u8) -> Option<(usize, u8)> {
    let liked = *b"a1A-bcdefghijklmnopqrstuvwxyz023456789BCDEFGHIJKLMNOPQRSTUVWXYZ_.~/";
    liked
        .into_iter()
        .chain(b'!'..=b'~')
        .enumerate()
        .find(|(_, byte)| low <= *byte && *byte <= high)
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
