//! Collections for numbers that only grow.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// A map of things that are numbered in the order in which they come, and mostly go in that order, too: it allocates
/// nothing for each, and nobody can choose keys that make it slow.
#[derive(Debug)]
pub(super) struct Growing<K, V>(VecDeque<(K, V)>);

impl<K: Ord + Copy, V> Growing<K, V> {
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
pub(crate) type Numbered<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..4_u8, 0..30_u32), 0..200)) {
            let (mut growing, mut map) = (Growing::new(), BTreeMap::new());
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
