//! Sets of bytes, shared between the programs of many patterns.

use regex_syntax::hir::Class;
use regex_syntax::utf8::Utf8Sequences;
use std::collections::HashSet;
use std::sync::Arc;

/// A set of bytes, as a table for lookups.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ByteSet([bool; 256]);

/// Keeps one copy of each set: most patterns of an application use the same few.
#[derive(Default)]
pub(in crate::routing) struct ByteSetInterner(HashSet<Arc<ByteSet>>);

impl ByteSet {
    pub(super) const EMPTY: ByteSet = ByteSet([false; 256]);

    /// The bytes from `low` to `high`, inclusive.
    pub(super) fn range(low: u8, high: u8) -> ByteSet {
        let mut set = ByteSet::EMPTY;
        set.add_range(low, high);
        set
    }

    /// Returns the bytes with which a character of the class may begin.
    pub(super) fn of_class(class: &Class) -> ByteSet {
        let mut set = ByteSet::EMPTY;
        match class {
            Class::Bytes(class) => {
                for range in class.iter() {
                    set.add_range(range.start(), range.end());
                }
            }
            Class::Unicode(class) => {
                let ranges = class.iter();
                let sequences = ranges.flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
                for sequence in sequences {
                    if let Some(first) = sequence.as_slice().first() {
                        set.add_range(first.start, first.end);
                    }
                }
            }
        }
        set
    }

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    /// Returns `true` if no byte of the set begins a character of several bytes.
    pub(super) fn has_only_single_bytes(&self) -> bool {
        !(0x80..0xff).any(|byte: u8| self.contains(byte))
    }

    pub(super) fn add(&mut self, other: &ByteSet) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own |= other;
        }
    }

    pub(super) fn is_disjoint(&self, other: &ByteSet) -> bool {
        !self.0.iter().zip(other.0).any(|(own, other)| *own && other)
    }

    fn add_range(&mut self, low: u8, high: u8) {
        for byte in low..=high {
            self.0[usize::from(byte)] = true;
        }
    }
}

impl ByteSetInterner {
    pub(super) fn intern(&mut self, set: ByteSet) -> Arc<ByteSet> {
        if let Some(known) = self.0.get(&set) {
            return known.clone();
        }
        let set = Arc::new(set);
        self.0.insert(set.clone());
        set
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
