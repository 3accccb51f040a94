//! What many automata are together, state by state.

use crate::routing::automaton::Automaton;
use std::collections::{HashMap, VecDeque};

/// What is known after some bytes.
#[derive(Debug)]
pub(super) struct Known {
    /// The first route that accepts what was read so far.
    pub(super) first: Option<usize>,
    /// Whether that holds whatever follows; then nothing does.
    pub(super) settled: bool,
    /// Sorted by byte, and disjoint.
    pub(super) edges: Vec<Edge>,
}

/// The bytes from `low` to `high` lead to the state with that number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) low: u8,
    pub(super) high: u8,
    pub(super) to: usize,
}

impl Known {
    /// Appends an edge, joining it to the one before where it continues that.
    fn push(&mut self, edge: Edge) {
        match self.edges.last_mut() {
            Some(last) if last.to == edge.to && last.high.checked_add(1) == Some(edge.low) => {
                last.high = edge.high
            }
            _ => self.edges.push(edge),
        }
    }
}

/// The routes that may still match, in order, each with the state of its own automaton.
type Alive = Vec<(usize, u16)>;

/// All states that some path leads to, from the start on; `None` where they stand for more than so many states of single
/// automata. A single route is never too large.
pub(super) fn product(routes: &[(usize, Automaton)], most: usize) -> Option<Vec<Known>> {
    let start: Alive = (0..routes.len()).map(|at| (at, 0)).collect();
    let mut states = Vec::new();
    let mut numbers = HashMap::from([(start.clone(), 0)]);
    let mut open = VecDeque::from([start]);
    let mut size = 0;
    while let Some(alive) = open.pop_front() {
        size += alive.len();
        if size > most && routes.len() > 1 {
            return None;
        }
        let accepting = alive.iter().find(|(at, state)| routes[*at].1.accepts(*state));
        let mut known = Known {
            first: accepting.map(|(at, _)| routes[*at].0),
            settled: alive
                .first()
                .is_some_and(|(at, state)| routes[*at].1.accepts_all(*state)),
            edges: Vec::new(),
        };
        if !known.settled {
            for (low, high, next) in steps(routes, &alive) {
                let number = numbers.len();
                let to = *numbers.entry(next).or_insert_with_key(|next| {
                    open.push_back(next.clone());
                    number
                });
                known.push(Edge { low, high, to });
            }
        }
        states.push(known);
    }
    Some(states)
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
