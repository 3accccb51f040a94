//! Maps whose keys are numbers that this process gave itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

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
