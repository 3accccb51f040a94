//! Collections for numbers that only grow, and for what is due at a time.

use super::Moment;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// A map of things that are numbered in the order in which they come, and mostly go in that order, too: it allocates
/// nothing for each, and nobody can choose keys that make it slow.
#[derive(Debug)]
pub(super) struct DequeMap<K, V>(VecDeque<(K, V)>);

impl<K: Ord + Copy, V> DequeMap<K, V> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        match self.0.back() {
            Some((last, _)) if *last >= key => self.0.binary_search_by_key(&key, |(key, _)| *key),
            _ => Err(self.0.len()),
        }
    }

    /// Adds a value, or replaces it.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.0.get(self.find(key).ok()?).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        self.0.remove(self.find(key).ok()?).map(|(_, value)| value)
    }

    pub(super) fn pop_first(&mut self) -> Option<(K, V)> {
        self.0.pop_front()
    }

    /// The values, in the order of their keys.
    pub(super) fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }
}

/// A map of things that were numbered here, one after the other. Nobody outside can choose such keys, so they need no
/// hashing that withstands an attack.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Spreads consecutive numbers over all bits.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio, as in Fibonacci hashing.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // A table takes the lowest bits for the place, and multiplying leaves the best ones at the top.
        self.0.rotate_left(32)
    }
}

/// Stale entries that are always put up with.
const SLACK: usize = 64;

/// Things that are due at a time, soonest first. What is not needed any more stays until it comes first or until half of
/// all entries are like that, so ending a call early costs next to nothing.
#[derive(Debug)]
pub(super) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Moment, K)>>,
    stale: usize,
}

impl<K: Ord + Copy> Timers<K> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            stale: 0,
        }
    }

    pub(super) fn set(&mut self, at: Moment, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// When the next entry is due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out an entry that is due.
    pub(super) fn due(&mut self, now: Moment) -> Option<(Moment, K)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Notes that an entry is not needed any more; `lives` tells which are.
    pub(super) fn forget(&mut self, lives: impl Fn(Moment, K) -> bool) {
        self.stale += 1;
        // What is due next is always needed, so nobody is woken for nothing.
        while let Some(Reverse((at, key))) = self.heap.peek()
            && !lives(*at, *key)
        {
            self.heap.pop();
            self.stale = self.stale.saturating_sub(1);
        }
        if self.stale > SLACK.max(self.heap.len() / 2) {
            self.heap.retain(|Reverse((at, key))| lives(*at, *key));
            self.stale = 0;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..4_u8, 0..30_u32), 0..200)) {
            let (mut growing, mut map) = (DequeMap::new(), BTreeMap::new());
            for (step, (what, key)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        growing.insert(key, step);
                        map.insert(key, step);
                    }
                    2 => prop_assert_eq!(growing.remove(key), map.remove(&key)),
                    _ => prop_assert_eq!(growing.pop_first(), map.pop_first()),
                }
                prop_assert_eq!(growing.get(key), map.get(&key));
                prop_assert_eq!((growing.len(), growing.is_empty()), (map.len(), map.is_empty()));
            }
            prop_assert!(growing.into_values().eq(map.into_values()));
        }
    }
}
