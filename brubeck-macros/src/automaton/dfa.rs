//! Makes an automaton deterministic, minimizes it, and removes states that cannot reach acceptance.

use super::nfa::{Condition, Nfa};
use super::{Automaton, ByteRange, DfaState, TooLarge};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Limits the number of states before minimization.
const MAX_STATES: usize = 2048;

/// Larger automata are not minimized, because refinement is quadratic. They are correct all the same.
const MAX_MINIMIZED_STATES: usize = 512;

/// A node of the nondeterministic automaton, and `true` if `$` has been passed, so that no byte may follow.
type Item = (usize, bool);

/// Makes an automaton deterministic: each state stands for a set of nodes (the subset construction).
pub(super) fn determinize(nfa: &Nfa) -> Result<Automaton, TooLarge> {
    let first = closure(nfa, vec![(nfa.start, false)], true);
    let mut numbers = HashMap::from([(first.clone(), 0)]);
    let mut states = vec![DfaState::default()];
    let mut open = vec![first];
    while let Some(items) = open.pop() {
        let own = numbers[&items];
        let mut state = DfaState {
            accept: items.iter().any(|item| item.0 == nfa.matched),
            edges: Vec::new(),
        };
        // The whole pattern has matched: every continuation is accepted.
        if items == [(nfa.matched, false)] {
            state.push(ByteRange {
                low: 0,
                high: 255,
                to: own,
            });
            states[own] = state;
            continue;
        }
        for (low, high) in intervals(nfa, &items) {
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
                    states.push(DfaState::default());
                    open.push(next);
                    states.len() - 1
                }
            };
            state.push(ByteRange { low, high, to });
        }
        states[own] = state;
    }
    Ok(Automaton { states })
}

/// Cuts the bytes that may follow into intervals. All bytes of an interval have the same transitions from `items`; an interval may also
/// have none.
fn intervals(nfa: &Nfa, items: &[Item]) -> Vec<(u8, u8)> {
    let mut bounds: Vec<u16> = items
        .iter()
        .filter(|item| !item.1)
        .flat_map(|item| &nfa.nodes[item.0].bytes)
        .flat_map(|(low, high, _)| [u16::from(*low), u16::from(*high) + 1])
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds
        .windows(2)
        .map(|pair| (pair[0] as u8, (pair[1] - 1) as u8))
        .collect()
}

/// Returns all items that are reached from `items` without a byte. A finished match absorbs all others, because every continuation
/// of it is accepted.
fn closure(nfa: &Nfa, items: Vec<Item>, at_start: bool) -> Vec<Item> {
    let mut seen: BTreeSet<Item> = items.iter().copied().collect();
    let mut open = items;
    while let Some((node, ended)) = open.pop() {
        if node == nfa.matched && !ended {
            return vec![(node, false)];
        }
        for &(condition, to) in &nfa.nodes[node].empty {
            // `$` forbids further bytes; `^` holds at the start only.
            let next = match condition {
                Condition::Always => (to, ended),
                Condition::AtStart if at_start => (to, ended),
                Condition::AtStart => continue,
                Condition::AtEnd => (to, true),
            };
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen.into_iter().collect()
}

/// Merges equivalent states, by Moore's partition refinement: classes of states are split until all states of a class have
/// transitions to the same classes. An automaton with more than [`MAX_MINIMIZED_STATES`] states is returned unchanged.
pub(super) fn minimize(automaton: Automaton) -> Automaton {
    let states = automaton.states;
    if states.len() > MAX_MINIMIZED_STATES {
        return Automaton { states };
    }
    // The first classes are the accepting states and the others.
    let mut class: Vec<usize> = states.iter().map(|state| usize::from(state.accept)).collect();
    let mut classes = class.iter().collect::<BTreeSet<_>>().len();
    let grouped = |state: &DfaState, class: &[usize]| {
        let mut group = DfaState {
            accept: state.accept,
            edges: Vec::new(),
        };
        for edge in &state.edges {
            group.push(ByteRange {
                to: class[edge.to],
                ..*edge
            });
        }
        group
    };
    loop {
        let mut seen: HashMap<(usize, DfaState), usize> = HashMap::new();
        let refined: Vec<usize> = states
            .iter()
            .zip(&class)
            .map(|(state, own)| {
                let number = seen.len();
                *seen.entry((*own, grouped(state, &class))).or_insert(number)
            })
            .collect();
        let is_stable = seen.len() == classes;
        classes = seen.len();
        class = refined;
        if is_stable {
            break;
        }
    }
    // Classes are numbered in the order of their first state, so the start state remains the first.
    let mut merged: Vec<DfaState> = Vec::with_capacity(classes);
    for (state, own) in states.iter().zip(&class) {
        if *own == merged.len() {
            merged.push(grouped(state, &class));
        }
    }
    Automaton { states: merged }
}

/// Removes the states that cannot reach acceptance, and numbers the others from the start state.
pub(super) fn trim(automaton: Automaton) -> Automaton {
    let states = automaton.states;
    // A state is live if it accepts or leads to a live state. This is repeated until nothing changes.
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
    // Breadth-first numbering drops unreachable states, and makes the result independent of the order of construction.
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
            let mut state = DfaState {
                accept: states[at].accept,
                edges: Vec::new(),
            };
            for edge in states[at].edges.iter().filter(|edge| live[edge.to]) {
                state.push(ByteRange {
                    to: numbers[&edge.to],
                    ..*edge
                });
            }
            state
        })
        .collect();
    Automaton { states }
}
