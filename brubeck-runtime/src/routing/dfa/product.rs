//! The product of many automata: each of its states stands for a state of every automaton that is still alive.

use crate::routing::automaton::Automaton;
use std::collections::{HashMap, VecDeque};

/// A state of the product, reached after reading some bytes.
#[derive(Debug)]
pub(super) struct ProductState {
    /// The first route that accepts what was read so far.
    pub(super) first_route: Option<usize>,
    /// This route accepts every continuation. The state then has no transitions.
    pub(super) accepts_all: bool,
    /// Sorted by byte, and disjoint.
    pub(super) ranges: Vec<ByteRange>,
}

/// A transition: the bytes from `low` to `high` lead to the state with the index `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteRange {
    pub(super) low: u8,
    pub(super) high: u8,
    pub(super) to: usize,
}

impl ProductState {
    /// Appends a transition, and joins it with the previous one if they are adjacent and lead to the same state.
    fn push(&mut self, range: ByteRange) {
        match self.ranges.last_mut() {
            Some(last) if last.to == range.to && last.high.checked_add(1) == Some(range.low) => {
                last.high = range.high
            }
            _ => self.ranges.push(range),
        }
    }
}

/// The routes that may still match: the position of each in the list, in ascending order, and the state of its automaton.
type LiveRoutes = Vec<(usize, u16)>;

/// Builds all states that some path leads to, beginning with the start state.
///
/// Returns `None` if the sum of the live routes over all states exceeds `max_size`. A single route is never too large.
pub(super) fn product(routes: &[(usize, Automaton)], max_size: usize) -> Option<Vec<ProductState>> {
    let start: LiveRoutes = (0..routes.len()).map(|position| (position, 0)).collect();
    let mut states = Vec::new();
    let mut indexes = HashMap::from([(start.clone(), 0)]);
    let mut open = VecDeque::from([start]);
    let mut size = 0;
    while let Some(live) = open.pop_front() {
        size += live.len();
        if size > max_size && routes.len() > 1 {
            return None;
        }
        let accepting = live
            .iter()
            .find(|(position, state)| routes[*position].1.accepts(*state));
        let accepts_all = live
            .first()
            .is_some_and(|(position, state)| routes[*position].1.accepts_all(*state));
        let mut product_state = ProductState {
            first_route: accepting.map(|(position, _)| routes[*position].0),
            accepts_all,
            ranges: Vec::new(),
        };
        if !accepts_all {
            for (low, high, next) in transitions(routes, &live) {
                let index = indexes.len();
                // States are numbered in the order in which they are found, which is also the order of the queue.
                let to = *indexes.entry(next).or_insert_with_key(|next| {
                    open.push_back(next.clone());
                    index
                });
                product_state.push(ByteRange { low, high, to });
            }
        }
        states.push(product_state);
    }
    Some(states)
}

/// Returns the routes that are alive after each byte, as ranges of bytes that leave the same routes alive.
fn transitions(routes: &[(usize, Automaton)], live: &LiveRoutes) -> Vec<(u8, u8, LiveRoutes)> {
    let edges = |position: usize, state: u16| {
        let automaton = routes[position].1;
        (0..automaton.edges(state)).map(move |index| automaton.edge(state, index))
    };
    // The edges of all live automata cut the byte values into intervals; interval `i` reaches from `bounds[i]` to
    // before `bounds[i + 1]`.
    let mut bounds: Vec<u16> = live
        .iter()
        .flat_map(|(position, state)| edges(*position, *state))
        .flat_map(|edge| [u16::from(edge.low), u16::from(edge.high) + 1])
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut next: Vec<LiveRoutes> = vec![LiveRoutes::new(); bounds.len()];
    for (position, state) in live {
        for edge in edges(*position, *state) {
            let from = bounds.partition_point(|bound| *bound < u16::from(edge.low));
            let to = bounds.partition_point(|bound| *bound <= u16::from(edge.high));
            for next_live in &mut next[from..to] {
                // No route after one that accepts every continuation can be the first that matches.
                let is_decided = next_live
                    .last()
                    .is_some_and(|(position, state)| routes[*position].1.accepts_all(*state));
                if !is_decided {
                    next_live.push((*position, edge.to));
                }
            }
        }
    }
    let intervals = bounds.iter().zip(bounds.iter().skip(1)).zip(next);
    intervals
        .filter(|(_, live)| !live.is_empty())
        // Every bound but the last is at most 255, and so is the last minus one.
        .map(|((low, end), live)| (*low as u8, (*end - 1) as u8, live))
        .collect()
}
