//! Combines the automata of many routes into one, which finds the first route that matches a path.

mod product;

use super::automaton::Automaton;
use product::{ByteRange, ProductState, product};

/// Limits the size of one combined automaton: the number of single automata that are still alive, summed over its states.
/// Routes of plain paths stay far below the limit. Patterns that overlap in many ways can exceed it; they are combined in
/// smaller groups.
const MAX_PRODUCT_SIZE: usize = 1 << 20;

/// A lookup table is used instead of a list of ranges if it has at most this number of entries per range. A table costs one read, a list
/// up to one comparison per range.
const MAX_TABLE_ENTRIES_PER_RANGE: usize = 4;

/// Routes that are consecutive in the list, matched in one pass over the path, regardless of their number.
///
/// The lookup in a large automaton is bound by memory, so a state is packed into a few bytes and all states are in one buffer. A
/// run of states that accept nothing and continue with a single byte is stored as text. The format of a state, integers little-endian:
///
/// | bytes | content |
/// |---|---|
/// | 4 | the first route that accepts the path if it ends after the text, or `NO_ROUTE` |
/// | 3 | the kind of its transitions, and their `low` and `last`, see [`Transitions`] |
/// | 2 | the length of the text |
/// | 4 per table entry | the offset of the next state for this byte, or `NO_STATE` |
/// | 6 per range | its lowest byte, its highest byte, and the offset of the next state |
/// | .. | the text: bytes that the path must contain before the transitions are used |
#[derive(Debug)]
pub(super) struct CombinedDfa(Vec<u8>);

const HEADER_LEN: usize = 9;
const TABLE_ENTRY_LEN: usize = 4;
const RANGE_LEN: usize = 6;

const TABLE: u8 = 0;
const RANGES: u8 = 1;
const ACCEPT_ALL: u8 = 2;
const NONE: u8 = 3;

const NO_STATE: u32 = u32::MAX;
const NO_ROUTE: u32 = u32::MAX;

impl CombinedDfa {
    /// Combines these routes, each with its index, into one automaton, or into several if one would exceed [`MAX_PRODUCT_SIZE`]. The
    /// returned automata must be tried in order.
    pub(super) fn build(routes: &[(usize, Automaton)]) -> Vec<CombinedDfa> {
        CombinedDfa::build_limited(routes, MAX_PRODUCT_SIZE)
    }

    fn build_limited(routes: &[(usize, Automaton)], max_size: usize) -> Vec<CombinedDfa> {
        if routes.is_empty() {
            return Vec::new();
        }
        match product(routes, max_size) {
            Some(states) => vec![CombinedDfa::pack(&states)],
            None => {
                let (first, second) = routes.split_at(routes.len() / 2);
                let mut dfas = CombinedDfa::build_limited(first, max_size);
                dfas.append(&mut CombinedDfa::build_limited(second, max_size));
                dfas
            }
        }
    }

    fn pack(product: &[ProductState]) -> CombinedDfa {
        let absorbed = absorbed_states(product);
        let kept = (0..product.len()).filter(|index| !absorbed[*index]);
        let states: Vec<UnpackedState<'_>> = kept
            .clone()
            .map(|index| UnpackedState::new(product, &absorbed, index))
            .collect();
        // Transitions hold offsets, so all offsets are computed before anything is written. No transition leads to an
        // absorbed state.
        let mut offsets = vec![NO_STATE; product.len()];
        let mut len = 0;
        for (index, state) in kept.zip(&states) {
            offsets[index] = to_u32(len);
            len += HEADER_LEN + state.transitions.encoded_len() + state.text.len();
        }
        let mut packed = Vec::with_capacity(len);
        for state in &states {
            state.pack(&offsets, &mut packed);
        }
        CombinedDfa(packed)
    }

    /// Returns the index of the first route that matches this path.
    pub(super) fn first_match(&self, path: &[u8]) -> Option<usize> {
        let (mut offset, mut rest) = (0_u32, path);
        loop {
            // `NO_STATE` is beyond the end of the buffer, so this returns `None`.
            let packed = self.0.get(offset as usize..)?;
            let (header, body) = packed.split_first_chunk()?;
            let state = StateHeader::decode(header);
            if state.text_len > 0 {
                let text = body.get(state.transitions.encoded_len()..)?;
                rest = rest.strip_prefix(text.get(..usize::from(state.text_len))?)?;
            }
            let (byte, after) = match rest.split_first() {
                Some(split) if !matches!(state.transitions, Transitions::AcceptAll) => split,
                _ => return state.route(),
            };
            offset = state.transitions.next(body, *byte)?;
            rest = after;
        }
    }
}

/// The header of a state in the packed buffer. Its transitions follow, and then its text.
///
/// The methods that a lookup calls are inlined, because they are its inner loop.
struct StateHeader {
    route: u32,
    transitions: Transitions,
    text_len: u16,
}

impl StateHeader {
    #[inline(always)]
    fn decode(header: &[u8; HEADER_LEN]) -> StateHeader {
        let [route @ .., kind, low, last, text_low, text_high] = *header;
        StateHeader {
            route: u32::from_le_bytes(route),
            transitions: Transitions::decode(kind, low, last),
            text_len: u16::from_le_bytes([text_low, text_high]),
        }
    }

    #[inline(always)]
    fn route(&self) -> Option<usize> {
        (self.route != NO_ROUTE).then_some(self.route as usize)
    }
}

/// How a state continues after its text.
#[derive(Clone, Copy, Debug)]
enum Transitions {
    /// The route accepts every continuation, so the rest of the path is not read.
    AcceptAll,
    /// No byte may follow.
    None,
    /// A table for the bytes from `low` to `low + last`.
    Table { low: u8, last: u8 },
    /// A list of ranges. `last` is the index of its last range.
    Ranges { last: u8 },
}

impl Transitions {
    /// Chooses the representation for a state.
    fn of(state: &ProductState) -> Transitions {
        let (Some(first), Some(last)) = (state.ranges.first(), state.ranges.last()) else {
            return if state.accepts_all {
                Transitions::AcceptAll
            } else {
                Transitions::None
            };
        };
        let span = last.high - first.low;
        if usize::from(span) < MAX_TABLE_ENTRIES_PER_RANGE * state.ranges.len() {
            Transitions::Table {
                low: first.low,
                last: span,
            }
        } else {
            // The ranges are disjoint, so there are at most 256.
            Transitions::Ranges {
                last: (state.ranges.len() - 1) as u8,
            }
        }
    }

    #[inline(always)]
    fn decode(kind: u8, low: u8, last: u8) -> Transitions {
        match kind {
            TABLE => Transitions::Table { low, last },
            RANGES => Transitions::Ranges { last },
            ACCEPT_ALL => Transitions::AcceptAll,
            _ => Transitions::None,
        }
    }

    fn encode(self) -> [u8; 3] {
        match self {
            Transitions::Table { low, last } => [TABLE, low, last],
            Transitions::Ranges { last } => [RANGES, 0, last],
            Transitions::AcceptAll => [ACCEPT_ALL, 0, 0],
            Transitions::None => [NONE, 0, 0],
        }
    }

    /// Returns the number of bytes that the transitions take after the header.
    #[inline(always)]
    fn encoded_len(self) -> usize {
        match self {
            Transitions::AcceptAll | Transitions::None => 0,
            Transitions::Table { last, .. } => TABLE_ENTRY_LEN * (usize::from(last) + 1),
            Transitions::Ranges { last } => RANGE_LEN * (usize::from(last) + 1),
        }
    }

    /// Returns the offset of the next state; `body` is what follows the header.
    #[inline(always)]
    fn next(self, body: &[u8], byte: u8) -> Option<u32> {
        match self {
            Transitions::AcceptAll | Transitions::None => None,
            Transitions::Table { low, last } => {
                let index = byte.checked_sub(low).filter(|index| *index <= last)?;
                let entry = body.get(TABLE_ENTRY_LEN * usize::from(index)..)?.first_chunk()?;
                Some(u32::from_le_bytes(*entry))
            }
            Transitions::Ranges { .. } => {
                let (ranges, _) = body.get(..self.encoded_len())?.as_chunks::<RANGE_LEN>();
                let [low, _, to @ ..] = ranges.iter().find(|[_, high, ..]| byte <= *high)?;
                (*low <= byte).then_some(u32::from_le_bytes(*to))
            }
        }
    }
}

/// A state before it is packed.
struct UnpackedState<'a> {
    text: Vec<u8>,
    /// The state after the text.
    end: &'a ProductState,
    transitions: Transitions,
}

impl<'a> UnpackedState<'a> {
    /// Joins the state with this index and the absorbed states after it.
    fn new(product: &'a [ProductState], absorbed: &[bool], index: usize) -> UnpackedState<'a> {
        let (mut text, mut end) = (Vec::new(), &product[index]);
        while let Some(range) = only_byte(end)
            && absorbed[range.to]
        {
            text.push(range.low);
            end = &product[range.to];
        }
        UnpackedState {
            text,
            end,
            transitions: Transitions::of(end),
        }
    }

    fn pack(&self, offsets: &[u32], packed: &mut Vec<u8>) {
        packed.extend(self.end.first_route.map_or(NO_ROUTE, to_u32).to_le_bytes());
        packed.extend(self.transitions.encode());
        // No text is longer than 65,535 bytes, because the macros pack single automata with offsets of 16 bits.
        packed.extend((self.text.len() as u16).to_le_bytes());
        match self.transitions {
            Transitions::AcceptAll | Transitions::None => {}
            Transitions::Table { low, last } => {
                let mut table = [NO_STATE; 256];
                for range in &self.end.ranges {
                    let (from, to) = (usize::from(range.low - low), usize::from(range.high - low));
                    table[from..=to].fill(offsets[range.to]);
                }
                let entries = table.iter().take(usize::from(last) + 1);
                packed.extend(entries.flat_map(|to| to.to_le_bytes()));
            }
            Transitions::Ranges { .. } => {
                for ByteRange { low, high, to } in &self.end.ranges {
                    packed.extend([*low, *high]);
                    packed.extend(offsets[*to].to_le_bytes());
                }
            }
        }
        packed.extend(&self.text);
    }
}

/// Returns the only transition of a state that accepts no route and continues with one byte only. Returns `None` for other states.
fn only_byte(state: &ProductState) -> Option<ByteRange> {
    match state.ranges[..] {
        [range] if range.low == range.high && state.first_route.is_none() => Some(range),
        _ => None,
    }
}

/// Marks each state that becomes text of the state before it: that state accepts no route and has no other transition, and no other
/// state leads to the marked one.
fn absorbed_states(product: &[ProductState]) -> Vec<bool> {
    let mut predecessors = vec![0_u32; product.len()];
    for range in product.iter().flat_map(|state| &state.ranges) {
        predecessors[range.to] += 1;
    }
    let mut absorbed = vec![false; product.len()];
    for range in product.iter().filter_map(only_byte) {
        // Every lookup begins at state 0, so it must be kept.
        absorbed[range.to] = range.to > 0 && predecessors[range.to] == 1;
    }
    absorbed
}

/// Never saturates: a product has at most [`MAX_PRODUCT_SIZE`] states, and a packed state about 1 KiB.
fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NO_STATE)
}

#[cfg(test)]
mod tests;
