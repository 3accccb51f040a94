//! The automata of many routes as one, which says at once which of them is the first that matches.

mod product;

use super::automaton::Automaton;
use product::{Edge, Known, product};

/// How many states of single automata all states of one merged automaton may stand for. Routes of plain paths stay far
/// below; patterns that overlap in many ways would go beyond any limit, and are merged in smaller groups.
const MOST: usize = 1 << 20;

/// A row of places costs one look, and may have so many empty ones for each edge.
const SPARSE: usize = 4;

/// Routes that follow each other, matched in one walk along the path, however many they are.
///
/// The time of a walk along a large table is that of its memory. So a state is a few bytes, and all of them stand together:
///
/// | bytes | what |
/// |---|---|
/// | 4 | the first route that accepts what was read up to the end of the text, or `NOWHERE` |
/// | 3 | how it goes on, see [`Next`] |
/// | 2 | the length of the text: bytes that can only follow each other, so that no states are needed between them |
/// | 4 for each place of a row | where that byte leads |
/// | 6 for each range | its lowest byte, its highest, and where they lead |
/// | .. | the text |
#[derive(Debug)]
pub(super) struct Merged(Vec<u8>);

const HEAD: usize = 9;
const PLACE: usize = 4;
const RANGE: usize = 6;

const ROW: u8 = 0;
const RANGES: u8 = 1;
const SETTLED: u8 = 2;
const END: u8 = 3;

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
        let joined = joined(known);
        let own = (0..known.len()).filter(|at| !joined[*at]);
        let states: Vec<State<'_>> = own.clone().map(|at| State::of(known, &joined, at)).collect();
        // Where each state stands; nothing leads to those that are joined.
        let mut places = vec![NOWHERE; known.len()];
        let mut size = 0;
        for (at, state) in own.zip(&states) {
            places[at] = narrow(size);
            size += HEAD + state.next.size() + state.text.len();
        }
        let mut packed = Vec::with_capacity(size);
        states.iter().for_each(|state| state.pack(&places, &mut packed));
        Merged(packed)
    }

    /// The first route that matches this path.
    pub(super) fn first(&self, path: &[u8]) -> Option<usize> {
        let (mut at, mut rest) = (0, path);
        loop {
            let (head, body) = self.0.get(at as usize..)?.split_first_chunk::<HEAD>()?;
            let [first @ .., kind, low, last, long, longer] = *head;
            let next = Next::read(kind, low, last);
            let length = u16::from_le_bytes([long, longer]);
            if length > 0 {
                let text = body.get(next.size()..)?.get(..usize::from(length))?;
                rest = rest.strip_prefix(text)?;
            }
            let (byte, behind) = match rest.split_first() {
                Some(more) if !matches!(next, Next::Settled) => more,
                _ => {
                    let first = u32::from_le_bytes(first);
                    return (first != NOWHERE).then_some(first as usize);
                }
            };
            at = next.step(body, *byte)?;
            rest = behind;
        }
    }
}

/// A state that is to be packed.
struct State<'a> {
    text: Vec<u8>,
    /// What is known after the text.
    known: &'a Known,
    next: Next,
}

/// How it goes on behind a state.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Not at all: whatever follows, the route is settled.
    Settled,
    /// Not at all.
    End,
    /// By a row of places for the bytes from `low` on; `last` is the last place.
    Row { low: u8, last: u8 },
    /// By ranges; `last` is the number of the last one.
    Ranges { last: u8 },
}

impl Next {
    fn of(known: &Known) -> Next {
        let (Some(first), Some(last)) = (known.edges.first(), known.edges.last()) else {
            return if known.settled { Next::Settled } else { Next::End };
        };
        let span = last.high - first.low;
        match usize::from(span) < SPARSE * known.edges.len() {
            true => Next::Row {
                low: first.low,
                last: span,
            },
            // There are no more than there are bytes.
            false => Next::Ranges {
                last: (known.edges.len() - 1) as u8,
            },
        }
    }

    #[inline(always)]
    fn read(kind: u8, low: u8, last: u8) -> Next {
        match kind {
            ROW => Next::Row { low, last },
            RANGES => Next::Ranges { last },
            SETTLED => Next::Settled,
            _ => Next::End,
        }
    }

    fn written(self) -> [u8; 3] {
        match self {
            Next::Row { low, last } => [ROW, low, last],
            Next::Ranges { last } => [RANGES, 0, last],
            Next::Settled => [SETTLED, 0, 0],
            Next::End => [END, 0, 0],
        }
    }

    /// How many bytes it takes behind the head of the state.
    #[inline(always)]
    fn size(self) -> usize {
        match self {
            Next::Settled | Next::End => 0,
            Next::Row { last, .. } => PLACE * (usize::from(last) + 1),
            Next::Ranges { last } => RANGE * (usize::from(last) + 1),
        }
    }

    /// Where a byte leads, from a state with these bytes behind its head.
    #[inline(always)]
    fn step(self, body: &[u8], byte: u8) -> Option<u32> {
        match self {
            Next::Settled | Next::End => None,
            Next::Row { low, last } => {
                let place = byte.checked_sub(low).filter(|place| *place <= last)?;
                let place = body.get(PLACE * usize::from(place)..)?.first_chunk()?;
                Some(u32::from_le_bytes(*place))
            }
            Next::Ranges { .. } => {
                let (ranges, _) = body.get(..self.size())?.as_chunks::<RANGE>();
                let [low, _, to @ ..] = ranges.iter().find(|[_, high, ..]| byte <= *high)?;
                (*low <= byte).then_some(u32::from_le_bytes(*to))
            }
        }
    }
}

impl<'a> State<'a> {
    /// The state with that number, and those that are joined to it.
    fn of(known: &'a [Known], joined: &[bool], at: usize) -> State<'a> {
        let (mut text, mut known_now) = (Vec::new(), &known[at]);
        while let Some(edge) = only(known_now)
            && joined[edge.to]
        {
            text.push(edge.low);
            known_now = &known[edge.to];
        }
        State {
            text,
            known: known_now,
            next: Next::of(known_now),
        }
    }

    fn pack(&self, places: &[u32], packed: &mut Vec<u8>) {
        packed.extend(self.known.first.map_or(NOWHERE, narrow).to_le_bytes());
        packed.extend(self.next.written());
        // An automaton of more states than that could not be written down.
        packed.extend((self.text.len() as u16).to_le_bytes());
        match self.next {
            Next::Settled | Next::End => {}
            Next::Row { low, last } => {
                let mut row = [NOWHERE; 256];
                for Edge { low: from, high, to } in &self.known.edges {
                    row[usize::from(from - low)..=usize::from(high - low)].fill(places[*to]);
                }
                packed.extend(
                    row.iter()
                        .take(usize::from(last) + 1)
                        .flat_map(|to| to.to_le_bytes()),
                );
            }
            Next::Ranges { .. } => {
                for Edge { low, high, to } in &self.known.edges {
                    packed.extend([*low, *high]);
                    packed.extend(places[*to].to_le_bytes());
                }
            }
        }
        packed.extend(&self.text);
    }
}

/// The only edge of a state at which nothing is known and one byte alone goes on.
fn only(state: &Known) -> Option<Edge> {
    match state.edges[..] {
        [edge] if edge.low == edge.high && state.first.is_none() => Some(edge),
        _ => None,
    }
}

/// Which states are a part of the one before: it is the only one that leads to them, and leads nowhere else.
fn joined(known: &[Known]) -> Vec<bool> {
    let mut reached = vec![0_u32; known.len()];
    let edges = known.iter().flat_map(|state| &state.edges);
    edges.for_each(|edge| reached[edge.to] += 1);
    let mut joined = vec![false; known.len()];
    for edge in known.iter().filter_map(only) {
        // Paths begin at the first one.
        joined[edge.to] = edge.to > 0 && reached[edge.to] == 1;
    }
    joined
}

/// There are at most [`MOST`] states, of about a thousand bytes where all of them are as large as can be.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NOWHERE)
}

#[cfg(test)]
mod tests;
