//! Finds the routes whose prefix is a prefix of another one, in constant evaluation.

use crate::spec::{Prefix, mask};

/// The number of bytes of a prefix that are indexed.
const HEAD_LEN: usize = 16;

/// The routes of a list by the beginnings of their prefixes: a hash table whose buckets are linked lists. A list of `N` routes is checked with
/// about `N` lookups for each length of a prefix, and not by comparing all pairs.
pub(super) struct PrefixIndex<const N: usize> {
    /// For each bucket, the first and the last route.
    buckets: [[u32; 2]; N],
    /// For each route, the next one in its bucket.
    next: [u32; N],
    heads: [u128; N],
    lens: [u8; N],
    /// The lengths of the prefixes.
    has_len: [bool; HEAD_LEN + 1],
}

/// The routes that remain to be visited: the next one for each length of the prefix.
pub(super) struct Candidates {
    head: u128,
    next: [u32; HEAD_LEN + 1],
}

const NONE: u32 = u32::MAX;

impl<const N: usize> PrefixIndex<N> {
    pub(super) const fn new() -> Self {
        PrefixIndex {
            buckets: [[NONE; 2]; N],
            next: [NONE; N],
            heads: [0; N],
            lens: [0; N],
            has_len: [false; HEAD_LEN + 1],
        }
    }

    /// Adds a route. Its index is greater than those of all routes before it.
    pub(super) const fn push(&mut self, index: usize, prefix: Prefix) {
        let (head, len) = (prefix.head(), prefix.head_len());
        self.heads[index] = head;
        self.lens[index] = len as u8;
        self.has_len[len] = true;
        let [first, last] = &mut self.buckets[Self::bucket(head)];
        if *last == NONE {
            *first = index as u32;
        } else {
            self.next[*last as usize] = index as u32;
        }
        *last = index as u32;
    }

    /// Returns the routes whose prefix may be a prefix of this one: its beginning is.
    pub(super) const fn with_prefix_of(&self, prefix: Prefix) -> Candidates {
        let mut candidates = Candidates {
            head: prefix.head(),
            next: [NONE; HEAD_LEN + 1],
        };
        let longest = prefix.head_len();
        let mut len = 0;
        while len <= longest {
            if self.has_len[len] {
                let [first, _] = self.buckets[Self::bucket(candidates.head & mask(len))];
                candidates.next[len] = self.skip_others(first, candidates.head, len);
            }
            len += 1;
        }
        candidates
    }

    /// Returns the candidate with the smallest index, and removes it.
    pub(super) const fn next(&self, candidates: &mut Candidates) -> Option<usize> {
        let (mut smallest, mut len) = (0, 1);
        while len <= HEAD_LEN {
            if candidates.next[len] < candidates.next[smallest] {
                smallest = len;
            }
            len += 1;
        }
        let index = candidates.next[smallest];
        if index == NONE {
            return None;
        }
        candidates.next[smallest] = self.skip_others(self.next[index as usize], candidates.head, smallest);
        Some(index as usize)
    }

    /// Returns the first route from `index` on, in its bucket, whose prefix has this length and these bytes.
    const fn skip_others(&self, mut index: u32, head: u128, len: usize) -> u32 {
        while index != NONE
            && (self.lens[index as usize] as usize != len || self.heads[index as usize] != head & mask(len))
        {
            index = self.next[index as usize];
        }
        index
    }

    const fn bucket(head: u128) -> usize {
        let folded = (head >> 64) as u64 ^ head as u64;
        (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % N
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_exactly_the_routes_with_a_prefix_in_order() {
        let prefixes: [&[u8]; 9] = [
            b"/",
            b"/service/slow/one",
            b"",
            b"/service/slow/two",
            b"/user",
            b"/service",
            b"/",
            b"/service/slow/one/x",
            b"/service/slow",
        ];
        let mut index = PrefixIndex::<9>::new();
        for (route, prefix) in prefixes.into_iter().enumerate() {
            let late = Prefix::new(prefix);
            let mut candidates = index.with_prefix_of(late);
            let found: Vec<usize> = std::iter::from_fn(|| index.next(&mut candidates))
                .filter(|early| late.extends(Prefix::new(prefixes[*early])))
                .collect();
            let expected: Vec<usize> = (0..route)
                .filter(|early| prefix.starts_with(prefixes[*early]))
                .collect();
            assert_eq!(found, expected, "{prefix:?}");
            index.push(route, late);
        }
    }
}
