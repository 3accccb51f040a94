//! Nondeterministic automaton -> deterministic -> minimal -> without dead ends.

use super::nfa::{Nfa, When};
use super::{Automaton, Edge, State, TooLarge};
use std::collections::{BTreeSet, HashMap, VecDeque};

const MAX_STATES: usize = 2048;
/// Refinement is quadratic; a larger automaton is right, but not minimal.
const MAX_MINIMIZED: usize = 512;

/// A node of the nondeterministic automaton, and whether `$` has been passed: then no byte may follow.
type Item = (usize, bool);

/// The subset construction.
pub(super) fn determinize(nfa: &Nfa) -> Result<Automaton, TooLarge> {
    let first = closure(nfa, vec![(nfa.start, false)], true);
    let mut numbers = HashMap::from([(first.clone(), 0)]);
    let mut states = vec![State::default()];
    let mut open = vec![first];
    while let Some(items) = open.pop() {
        let own = numbers[&items];
        let mut state = State {
            accept: items.iter().any(|item| item.0 == nfa.matched),
            edges: Vec::new(),
        };
        if items == [(nfa.matched, false)] {
            state.push(Edge {
                low: 0,
                high: 255,
                to: own,
            });
            states[own] = state;
            continue;
        }
        for (low, high) in cuts(nfa, &items) {
            let next: Vec<Item> = items
                .iter()
                .filter(|item| !item.1)
                .flat_map(|item| &nfa.nodes[item.0].bytes)
                .filter(|(from, until, _)| *from <= low && high <= *until)
                .map(|(_, _, to)| (*to, false))
                .collect();
            if next.is_empty() {
                continue;
            }
            let next = closure(nfa, next, false);
            let to = match numbers.get(&next) {
                Some(number) => *number,
                None => {
                    if states.len() >= MAX_STATES {
                        return Err(TooLarge);
                    }
                    numbers.insert(next.clone(), states.len());
                    states.push(State::default());
                    open.push(next);
                    states.len() - 1
                }
            };
            state.push(Edge { low, high, to });
        }
        states[own] = state;
    }
    Ok(Automaton { states })
}

/// The byte ranges on which no node of `items` changes its mind.
fn cuts(nfa: &Nfa, items: &[Item]) -> Vec<(u8, u8)> {
    let mut cuts: Vec<u16> = items
        .iter()
        .filter(|item| !item.1)
        .flat_map(|item| &nfa.nodes[item.0].bytes)
        .flat_map(|(low, high, _)| [u16::from(*low), u16::from(*high) + 1])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2)
        .map(|pair| (pair[0] as u8, (pair[1] - 1) as u8))
        .collect()
}

/// All that is reached from `items` without a byte. A finished match absorbs everything else, since every
/// extension of it is accepted.
fn closure(nfa: &Nfa, items: Vec<Item>, at_start: bool) -> Vec<Item> {
    let mut seen: BTreeSet<Item> = items.iter().copied().collect();
    let mut open = items;
    while let Some((node, ended)) = open.pop() {
        if node == nfa.matched && !ended {
            return vec![(node, false)];
        }
        for &(when, to) in &nfa.nodes[node].empty {
            let next = match when {
                When::Always => (to, ended),
                When::AtStart if at_start => (to, ended),
                When::AtStart => continue,
                When::AtEnd => (to, true),
            };
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen.into_iter().collect()
}

/// Moore's partition refinement: states that no continuation tells apart become one.
pub(super) fn minimize(automaton: Automaton) -> Automaton {
    let states = automaton.states;
    if states.len() > MAX_MINIMIZED {
        return Automaton { states };
    }
    let mut class: Vec<usize> = states.iter().map(|state| usize::from(state.accept)).collect();
    let mut classes = class.iter().collect::<BTreeSet<_>>().len();
    let grouped = |state: &State, class: &[usize]| {
        let mut group = State {
            accept: state.accept,
            edges: Vec::new(),
        };
        for edge in &state.edges {
            group.push(Edge {
                to: class[edge.to],
                ..*edge
            });
        }
        group
    };
    loop {
        let mut seen: HashMap<(usize, State), usize> = HashMap::new();
        let refined: Vec<usize> = states
            .iter()
            .zip(&class)
            .map(|(state, own)| {
                let number = seen.len();
                *seen.entry((*own, grouped(state, &class))).or_insert(number)
            })
            .collect();
        let settled = seen.len() == classes;
        classes = seen.len();
        class = refined;
        if settled {
            break;
        }
    }
    // Classes are numbered in the order of their first state, so the start state stays the first.
    let mut merged: Vec<State> = Vec::with_capacity(classes);
    for (state, own) in states.iter().zip(&class) {
        if *own == merged.len() {
            merged.push(grouped(state, &class));
        }
    }
    Automaton { states: merged }
}

/// Removes the states from which nothing is accepted, and numbers the others from the start state.
pub(super) fn trim(automaton: Automaton) -> Automaton {
    let states = automaton.states;
    let mut live: Vec<bool> = states.iter().map(|state| state.accept).collect();
    loop {
        let mut changed = false;
        for (own, state) in states.iter().enumerate() {
            if !live[own] && state.edges.iter().any(|edge| live[edge.to]) {
                live[own] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut numbers = HashMap::from([(0, 0)]);
    let mut order = Vec::new();
    let mut open = VecDeque::from([0]);
    while let Some(at) = open.pop_front() {
        order.push(at);
        for edge in states[at].edges.iter().filter(|edge| live[edge.to]) {
            let next = numbers.len();
            numbers.entry(edge.to).or_insert_with(|| {
                open.push_back(edge.to);
                next
            });
        }
    }
    let states = order
        .into_iter()
        .map(|at| {
            let mut state = State {
                accept: states[at].accept,
                edges: Vec::new(),
            };
            for edge in states[at].edges.iter().filter(|edge| live[edge.to]) {
                state.push(Edge {
                    to: numbers[&edge.to],
                    ..*edge
                });
            }
            state
        })
        .collect();
    Automaton { states }
}
