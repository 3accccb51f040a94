//! The automata of many routes as one, which says at once which of them is the first that matches.

use super::automaton::Automaton;
use std::collections::HashMap;

/// How many states of single automata all states of one merged automaton may stand for. Routes of plain paths stay far
/// below; patterns that overlap in many ways would go beyond any limit, and are merged in smaller groups.
const MOST: usize = 1 << 20;

/// Routes that follow each other, matched in one walk along the path, however many they are.
#[derive(Debug)]
pub(super) struct Merged {
    states: Vec<State>,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct State {
    /// The first route that accepts what was read so far.
    first: Option<usize>,
    /// Whether that holds whatever follows.
    settled: bool,
    /// Where its edges begin; they end where those of the next state begin.
    edges: usize,
}

/// Sorted by byte within a state, and disjoint.
#[derive(Debug)]
struct Edge {
    low: u8,
    high: u8,
    to: usize,
}

/// The routes that may still match, in order, each with the state of its own automaton.
type Alive = Vec<(usize, u16)>;

impl Merged {
    /// Merges these routes, each with its number, in as few parts as can be; they are to be tried in order.
    pub(super) fn of(routes: &[(usize, Automaton)]) -> Vec<Merged> {
        Merged::within(routes, MOST)
    }

    fn within(routes: &[(usize, Automaton)], most: usize) -> Vec<Merged> {
        if routes.is_empty() {
            return Vec::new();
        }
        match Merged::try_merge(routes, most) {
            Some(merged) => vec![merged],
            None => {
                let (first, second) = routes.split_at(routes.len() / 2);
                let mut parts = Merged::within(first, most);
                parts.append(&mut Merged::within(second, most));
                parts
            }
        }
    }

    /// `None` where it would be too large; a single route never is.
    fn try_merge(routes: &[(usize, Automaton)], most: usize) -> Option<Merged> {
        let mut merged = Merged {
            states: Vec::new(),
            edges: Vec::new(),
        };
        let start: Alive = (0..routes.len()).map(|at| (at, 0)).collect();
        let mut numbers = HashMap::from([(start.clone(), 0)]);
        let mut open = std::collections::VecDeque::from([start]);
        let mut size = 0;
        while let Some(alive) = open.pop_front() {
            size += alive.len();
            if size > most && routes.len() > 1 {
                return None;
            }
            let accepting = alive.iter().find(|(at, state)| routes[*at].1.accepts(*state));
            let first = accepting.map(|(at, _)| routes[*at].0);
            let settled = alive
                .first()
                .is_some_and(|(at, state)| routes[*at].1.accepts_all(*state));
            merged.states.push(State {
                first,
                settled,
                edges: merged.edges.len(),
            });
            if settled {
                continue;
            }
            for (low, high, next) in steps(routes, &alive) {
                let number = numbers.len();
                let to = *numbers.entry(next).or_insert_with_key(|next| {
                    open.push_back(next.clone());
                    number
                });
                merged.edges.push(Edge { low, high, to });
            }
        }
        Some(merged)
    }

    /// The first route that matches this path.
    pub(super) fn first(&self, path: &[u8]) -> Option<usize> {
        let mut at = 0;
        let mut state = self.states.first()?;
        for byte in path {
            if state.settled {
                break;
            }
            let end = self
                .states
                .get(at + 1)
                .map_or(self.edges.len(), |next| next.edges);
            let edges = self.edges.get(state.edges..end)?;
            let edge = edges.get(edges.partition_point(|edge| edge.high < *byte))?;
            if edge.low > *byte {
                return None;
            }
            at = edge.to;
            state = self.states.get(at)?;
        }
        state.first
    }
}

/// Which routes are alive after each byte: ranges of bytes, and what they lead to.
fn steps(routes: &[(usize, Automaton)], alive: &Alive) -> Vec<(u8, u8, Alive)> {
    let edges = |at: usize, state: u16| {
        let automaton = routes[at].1;
        (0..automaton.edges(state)).map(move |index| automaton.edge(state, index))
    };
    let mut bounds: Vec<u16> = alive
        .iter()
        .flat_map(|(at, state)| edges(*at, *state))
        .flat_map(|edge| [u16::from(edge.low), u16::from(edge.high) + 1])
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut next: Vec<Alive> = vec![Alive::new(); bounds.len()];
    for (at, state) in alive {
        for edge in edges(*at, *state) {
            let from = bounds.partition_point(|bound| *bound < u16::from(edge.low));
            let to = bounds.partition_point(|bound| *bound <= u16::from(edge.high));
            for alive in &mut next[from..to] {
                // Behind a route that matches whatever follows, none is the first.
                let settled = alive
                    .last()
                    .is_some_and(|(at, state)| routes[*at].1.accepts_all(*state));
                if !settled {
                    alive.push((*at, edge.to));
                }
            }
        }
    }
    let ranges = bounds.iter().zip(bounds.iter().skip(1)).zip(next);
    let ranges = ranges.filter(|(_, alive)| !alive.is_empty());
    // Every bound but the last is a byte, and so is what comes before the last.
    ranges
        .map(|((low, end), alive)| (*low as u8, (*end - 1) as u8, alive))
        .collect()
}

#[cfg(test)]
mod tests;
