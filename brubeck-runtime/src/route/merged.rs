//! The automata of many routes as one, which says at once which of them is the first that matches.

mod product;

use super::automaton::Automaton;
use product::{Edge, Known, product};

/// How many states of single automata all states of one merged automaton may stand for. Routes of plain paths stay far
/// below; patterns that overlap in many ways would go beyond any limit, and are merged in smaller groups.
const MOST: usize = 1 << 20;

/// A row of states costs a byte of the path one look, and may have so many empty places for each edge.
const SPARSE: usize = 4;

/// Routes that follow each other, matched in one walk along the path, however many they are.
///
/// What is walked is small, because a walk along a large table is the time that its memory takes: bytes that can only
/// follow each other are one text, and numbers have half the size.
#[derive(Debug)]
pub(super) struct Merged {
    states: Vec<State>,
    texts: Vec<u8>,
    /// Of all states that have one: where each byte leads.
    rows: Vec<u32>,
    /// Of all other states.
    ranges: Vec<Range>,
}

#[derive(Debug)]
struct State {
    /// What has to come first, from there in the texts on.
    text: u32,
    length: u32,
    /// The first route that accepts what was read so far, or `NOWHERE`.
    first: u32,
    next: Next,
}

/// How it goes on.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The route is settled, whatever follows.
    Settled,
    /// By a row for so many bytes from `low` on.
    Row { low: u8, bytes: u16, at: u32 },
    /// By so many ranges.
    Ranges { count: u16, at: u32 },
}

/// Sorted within a state, and disjoint.
#[derive(Debug)]
struct Range {
    low: u8,
    high: u8,
    to: u32,
}

/// Where no state or route is.
const NOWHERE: u32 = u32::MAX;

impl Merged {
    /// Merges these routes, each with its number, in as few parts as can be; they are to be tried in order.
    pub(super) fn of(routes: &[(usize, Automaton)]) -> Vec<Merged> {
        Merged::within(routes, MOST)
    }

    fn within(routes: &[(usize, Automaton)], most: usize) -> Vec<Merged> {
        if routes.is_empty() {
            return Vec::new();
        }
        match product(routes, most) {
            Some(states) => vec![Merged::packed(&states)],
            None => {
                let (first, second) = routes.split_at(routes.len() / 2);
                let mut parts = Merged::within(first, most);
                parts.append(&mut Merged::within(second, most));
                parts
            }
        }
    }

    fn packed(known: &[Known]) -> Merged {
        let mut merged = Merged {
            states: Vec::new(),
            texts: Vec::new(),
            rows: Vec::new(),
            ranges: Vec::new(),
        };
        let numbers = numbers(known);
        for (at, number) in numbers.iter().enumerate() {
            if *number != NOWHERE {
                merged.pack(known, &numbers, at);
            }
        }
        merged
    }

    /// Packs the state with that number, and those that are one text with it.
    fn pack(&mut self, known: &[Known], numbers: &[u32], at: usize) {
        let text = self.texts.len();
        let mut state = &known[at];
        while let Some(edge) = only(state)
            && numbers[edge.to] == NOWHERE
        {
            self.texts.push(edge.low);
            state = &known[edge.to];
        }
        let next = match state.settled {
            true => Next::Settled,
            false => self.next(&state.edges, numbers),
        };
        self.states.push(State {
            text: narrow(text),
            length: narrow(self.texts.len() - text),
            first: state.first.map_or(NOWHERE, narrow),
            next,
        });
    }

    fn next(&mut self, edges: &[Edge], numbers: &[u32]) -> Next {
        let to = |edge: &Edge| numbers[edge.to];
        if let (Some(first), Some(last)) = (edges.first(), edges.last()) {
            let bytes = usize::from(last.high - first.low) + 1;
            if bytes <= SPARSE * edges.len() {
                let at = self.rows.len();
                self.rows.resize(at + bytes, NOWHERE);
                for edge in edges {
                    let from = at + usize::from(edge.low - first.low);
                    let end = at + usize::from(edge.high - first.low);
                    self.rows[from..=end].fill(to(edge));
                }
                return Next::Row {
                    low: first.low,
                    bytes: bytes as u16,
                    at: narrow(at),
                };
            }
        }
        let at = narrow(self.ranges.len());
        self.ranges.extend(edges.iter().map(|edge| Range {
            low: edge.low,
            high: edge.high,
            to: to(edge),
        }));
        Next::Ranges {
            count: edges.len() as u16,
            at,
        }
    }

    /// The first route that matches this path.
    pub(super) fn first(&self, path: &[u8]) -> Option<usize> {
        let mut rest = path;
        let mut at = 0;
        loop {
            let state = self.states.get(at as usize)?;
            if state.length > 0 {
                let text = self.texts.get(state.text as usize..)?;
                rest = rest.strip_prefix(text.get(..state.length as usize)?)?;
            }
            let known = || (state.first != NOWHERE).then_some(state.first as usize);
            if let Next::Settled = state.next {
                return known();
            }
            let Some((byte, behind)) = rest.split_first() else {
                return known();
            };
            at = self.step(state.next, *byte)?;
            rest = behind;
        }
    }

    fn step(&self, next: Next, byte: u8) -> Option<u32> {
        match next {
            Next::Settled => None,
            Next::Row { low, bytes, at } => {
                let place = byte.checked_sub(low)?;
                let row = self.rows.get(at as usize..)?.get(..usize::from(bytes))?;
                row.get(usize::from(place)).copied()
            }
            Next::Ranges { count, at } => {
                let ranges = self.ranges.get(at as usize..)?.get(..usize::from(count))?;
                let range = ranges.iter().find(|range| byte <= range.high)?;
                (range.low <= byte).then_some(range.to)
            }
        }
    }
}

/// The only edge of a state at which nothing is known and one byte alone goes on.
fn only(state: &Known) -> Option<Edge> {
    match state.edges[..] {
        [edge] if edge.low == edge.high && state.first.is_none() => Some(edge),
        _ => None,
    }
}

/// The number of each state that stays one of its own; `NOWHERE` for those that are reached from one state alone, by a
/// text.
fn numbers(known: &[Known]) -> Vec<u32> {
    let mut reached = vec![0_u32; known.len()];
    let edges = known.iter().flat_map(|state| &state.edges);
    edges.for_each(|edge| reached[edge.to] += 1);
    let mut joined = vec![false; known.len()];
    for edge in known.iter().filter_map(only) {
        joined[edge.to] = reached[edge.to] == 1;
    }
    // Paths begin there.
    joined[0] = false;
    let mut next = 0;
    joined
        .into_iter()
        .map(|joined| match joined {
            true => NOWHERE,
            false => {
                next += 1;
                next - 1
            }
        })
        .collect()
}

/// All of these count states, or a few for each, of which there are far fewer.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NOWHERE)
}

#[cfg(test)]
mod tests;
