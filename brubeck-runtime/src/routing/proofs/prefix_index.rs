//! Finds the routes whose forced prefix is a prefix of another one, in constant evaluation.

use crate::routing::automaton::Automaton;
use crate::spec::Spec;

/// The number of bytes of a forced prefix that are compared.
const MAX_PREFIX_LEN: usize = 255;

/// The routes of a list by their forced prefixes: a hash table whose buckets are linked lists. A list of `N` routes is checked with about one
/// lookup for each route and each length of a prefix, and not by comparing all pairs. The prefixes are compared as a whole, so the common
/// prefix of the operations of a service costs nothing.
pub(super) struct PrefixIndex<const N: usize> {
    /// For each bucket, the first and the last route.
    buckets: [[u32; 2]; N],
    /// For each route, the next one in its bucket.
    next: [u32; N],
    hashes: [u64; N],
    lens: [u8; N],
    /// The lengths of the prefixes.
    has_len: [bool; MAX_PREFIX_LEN + 1],
}

/// The routes that remain to be visited.
pub(super) struct Candidates {
    /// The next route of each list, with the hash and the length of the prefix that the list is searched for.
    lists: [(u32, u64, u8); MAX_PREFIX_LEN + 1],
    len: usize,
}

const NONE: u32 = u32::MAX;

/// The hash of no bytes, in FNV-1a.
const EMPTY_HASH: u64 = 0xcbf2_9ce4_8422_2325;

const fn hash_byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
}

impl<const N: usize> PrefixIndex<N> {
    /// Creates the index of these routes.
    pub(super) const fn of(specs: &[&Spec; N]) -> Self {
        let mut index = PrefixIndex {
            buckets: [[NONE; 2]; N],
            next: [NONE; N],
            hashes: [EMPTY_HASH; N],
            lens: [0; N],
            has_len: [false; MAX_PREFIX_LEN + 1],
        };
        let mut i = 0;
        while i < N {
            index.push(i, specs[i]);
            i += 1;
        }
        index
    }

    const fn push(&mut self, index: usize, spec: &Spec) {
        let mut prefix = ForcedPrefix::new(spec);
        let (mut hash, mut len) = (EMPTY_HASH, 0);
        while let Some(byte) = prefix.next_byte() {
            hash = hash_byte(hash, byte);
            len += 1;
        }
        self.hashes[index] = hash;
        self.lens[index] = len as u8;
        self.has_len[len] = true;
        let [first, last] = &mut self.buckets[Self::bucket(hash)];
        if *last == NONE {
            *first = index as u32;
        } else {
            self.next[*last as usize] = index as u32;
        }
        *last = index as u32;
    }

    /// Returns the length of the prefix of a route.
    pub(super) const fn prefix_len(&self, index: usize) -> usize {
        self.lens[index] as usize
    }

    /// Returns the routes whose forced prefix is a prefix of that of `spec`, possibly with others.
    pub(super) const fn with_prefix_of(&self, spec: &Spec) -> Candidates {
        let mut candidates = Candidates {
            lists: [(NONE, 0, 0); MAX_PREFIX_LEN + 1],
            len: 0,
        };
        let mut prefix = ForcedPrefix::new(spec);
        let (mut hash, mut len) = (EMPTY_HASH, 0);
        loop {
            if self.has_len[len] {
                let [first, _] = self.buckets[Self::bucket(hash)];
                let first = self.skip_others(first, hash, len as u8);
                if first != NONE {
                    candidates.lists[candidates.len] = (first, hash, len as u8);
                    candidates.len += 1;
                }
            }
            match prefix.next_byte() {
                Some(byte) => hash = hash_byte(hash, byte),
                None => return candidates,
            }
            len += 1;
        }
    }

    /// Returns the candidate with the smallest index, and removes it.
    pub(super) const fn next(&self, candidates: &mut Candidates) -> Option<usize> {
        let (mut smallest, mut index, mut i) = (0, NONE, 0);
        while i < candidates.len {
            if candidates.lists[i].0 < index {
                (smallest, index) = (i, candidates.lists[i].0);
            }
            i += 1;
        }
        if index == NONE {
            return None;
        }
        let (next, hash, len) = &mut candidates.lists[smallest];
        *next = self.skip_others(self.next[index as usize], *hash, *len);
        Some(index as usize)
    }

    /// Returns the first route from `index` on, in its bucket, whose prefix has this hash and this length.
    const fn skip_others(&self, mut index: u32, hash: u64, len: u8) -> u32 {
        while index != NONE && (self.lens[index as usize] != len || self.hashes[index as usize] != hash) {
            index = self.next[index as usize];
        }
        index
    }

    const fn bucket(hash: u64) -> usize {
        (hash >> 32) as usize % N
    }
}

/// The bytes that every path of a route begins with. A route without an automaton has none.
struct ForcedPrefix {
    automaton: Automaton,
    state: u16,
    len: usize,
}

impl ForcedPrefix {
    const fn new(spec: &Spec) -> ForcedPrefix {
        ForcedPrefix {
            automaton: Automaton(spec.automaton),
            state: 0,
            len: 0,
        }
    }

    const fn next_byte(&mut self) -> Option<u8> {
        if self.len == MAX_PREFIX_LEN {
            return None;
        }
        match self.automaton.forced_edge(self.state) {
            Some(edge) => {
                self.state = edge.to;
                self.len += 1;
                Some(edge.low)
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Kind, Method};
    use crate::routing::automaton::tests::packed_path;

    #[test]
    fn finds_exactly_the_routes_with_a_prefix_in_order() {
        let prefixes: [&str; 9] = [
            "/",
            "/service/slow/one",
            "",
            "/service/slow/two/of/a/service/with/a/long/prefix",
            "/user",
            "/service",
            "/",
            "/service/slow/one/x",
            "/service/slow/two/of/a/service/with/a/long/prefix/1",
        ];
        let specs = prefixes.map(|prefix| {
            Spec::new("route", "^/", Method::Get, Kind::Web).with_automaton(packed_path(prefix), "")
        });
        let index = PrefixIndex::<9>::of(&specs.each_ref());
        for (route, prefix) in prefixes.into_iter().enumerate() {
            let mut candidates = index.with_prefix_of(&specs[route]);
            let found: Vec<usize> = std::iter::from_fn(|| index.next(&mut candidates)).collect();
            let expected: Vec<usize> = (0..prefixes.len())
                .filter(|other| prefix.starts_with(prefixes[*other]))
                .collect();
            assert_eq!(found, expected, "{prefix:?}");
            assert_eq!(index.prefix_len(route), prefix.len());
        }
    }
}
