//! Finds the paths that an automaton accepts and a request can have.

use super::{Automaton, ByteRange};
use crate::pattern::ENCODED_SLASH;
use std::collections::{HashSet, VecDeque};

/// The position in a path: what may follow in a canonical path, which is UTF-8, has no NUL, and no segment that is `.` or `..`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Position {
    /// The number of continuation bytes that must follow, and the range of the next one.
    continuation: (u8, u8, u8),
    segment: Segment,
}

/// The text of the current segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Segment {
    /// Before the first `/`.
    None,
    Empty,
    OneDot,
    TwoDots,
    Other,
}

impl Position {
    const START: Position = Position {
        continuation: (0, 0, 0),
        segment: Segment::None,
    };

    /// Returns `true` if a canonical path can end here.
    fn may_end(self) -> bool {
        self.continuation.0 == 0 && matches!(self.segment, Segment::Empty | Segment::Other)
    }

    /// Returns the position after a byte, or `None` if no canonical path has this byte here.
    fn next(self, byte: u8) -> Option<Position> {
        let (missing, low, high) = self.continuation;
        if missing > 0 {
            return (low..=high).contains(&byte).then_some(Position {
                continuation: (missing - 1, 0x80, 0xbf),
                ..self
            });
        }
        let segment = match (self.segment, byte) {
            (Segment::None | Segment::Empty | Segment::Other, b'/') => Segment::Empty,
            (Segment::None, _) | (Segment::OneDot | Segment::TwoDots, b'/') => return None,
            (Segment::Empty, b'.') => Segment::OneDot,
            (Segment::OneDot, b'.') => Segment::TwoDots,
            _ => Segment::Other,
        };
        // The table of RFC 3629, section 4.
        let continuation = match byte {
            0 => return None,
            0x01..=0x7f | ENCODED_SLASH => (0, 0, 0),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return None,
        };
        Some(Position {
            continuation,
            segment,
        })
    }
}

impl Automaton {
    /// Returns a shortest canonical path that is accepted, if there is one. This is a breadth-first search, which tries the bytes of a
    /// path that are easy to read and to send first.
    pub(crate) fn example(&self) -> Option<Vec<u8>> {
        // Each entry is a node and the index of the entry before it, with the byte between them.
        let mut found = vec![(0, Position::START, None)];
        let mut seen = HashSet::from([(0, Position::START)]);
        let mut open = VecDeque::from([0]);
        while let Some(index) = open.pop_front() {
            let (state, position, _) = found[index];
            if self.states[state].accept && position.may_end() {
                let mut path = Vec::new();
                let mut entry = index;
                while let (_, _, Some((before, byte))) = found[entry] {
                    path.push(byte);
                    entry = before;
                }
                path.reverse();
                return Some(path);
            }
            let edges = &self.states[state].edges;
            let bytes = match edges[..] {
                [ByteRange { low, high, .. }] if low == high => &[low][..],
                _ => &PREFERRED_BYTES,
            };
            for &byte in bytes {
                let edge = edges.iter().find(|edge| edge.low <= byte && byte <= edge.high);
                let next = edge.map(|edge| edge.to).zip(position.next(byte));
                if let Some(node) = next.filter(|node| seen.insert(*node)) {
                    open.push_back(found.len());
                    found.push((node.0, node.1, Some((index, byte))));
                }
            }
        }
        None
    }
}

/// All bytes, the preferred ones first.
const PREFERRED_BYTES: [u8; 256] = {
    let first = b"a1A-bcdefghijklmnopqrstuvwxyz023456789BCDEFGHIJKLMNOPQRSTUVWXYZ_.~/";
    let (mut bytes, mut is_listed) = ([0; 256], [false; 256]);
    let mut len = 0;
    while len < first.len() {
        bytes[len] = first[len];
        is_listed[first[len] as usize] = true;
        len += 1;
    }
    // Then the visible characters, the bytes of longer characters, and the control characters.
    let ranges = [(b'!', b'~'), (0x80, 0xff), (0, b' '), (0x7f, 0x7f)];
    let mut range = 0;
    while range < ranges.len() {
        let (low, high) = ranges[range];
        let mut byte = low as usize;
        while byte <= high as usize {
            if !is_listed[byte] {
                bytes[len] = byte as u8;
                len += 1;
            }
            byte += 1;
        }
        range += 1;
    }
    assert!(len == 256);
    bytes
};

/// Percent-encodes a canonical path, as a client sends it.
pub(crate) fn encode(path: &[u8]) -> String {
    let mut encoded = String::new();
    for &byte in path {
        match byte {
            ENCODED_SLASH => encoded.push_str("%2F"),
            b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' | b':' | b'@' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_accepts_canonical_paths_only() {
        let accepts = |path: &[u8]| {
            let end = path
                .iter()
                .try_fold(Position::START, |position, byte| position.next(*byte));
            end.is_some_and(Position::may_end)
        };
        for path in [
            &b"/"[..],
            b"//",
            b"/a/.b/..c/...",
            "/é/日/𝄞".as_bytes(),
            b"/..\xff..",
            b"/\xff",
        ] {
            assert!(accepts(path), "{}", path.escape_ascii());
        }
        for path in [
            &b""[..],
            b"a",
            b"\xff",
            b"/.",
            b"/a/..",
            b"/./a",
            b"/../a",
            b"/\0",
            b"/\xc3",
            b"/\xc0\x80",
            b"/\xed\xa0\x80",
            b"/\x80",
            b"/\xf5",
        ] {
            assert!(!accepts(path), "{}", path.escape_ascii());
        }
    }
}
