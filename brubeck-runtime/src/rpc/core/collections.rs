//! Collections for keys that only increase, and a queue of timers.

use super::Moment;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// A map for keys that are inserted in ascending order and mostly removed in the same order. Inserting or
/// removing in any other order takes linear time.
///
/// It is a sorted ring buffer: inserting does not allocate per entry, and a peer cannot choose keys that collide as in a hash
/// table.
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

    /// Returns the index of the key, or the index at which to insert it.
    fn find(&self, key: K) -> Result<usize, usize> {
        match self.0.back() {
            Some((last, _)) if *last >= key => self.0.binary_search_by_key(&key, |(key, _)| *key),
            // The common case: the key is new and the highest.
            _ => Err(self.0.len()),
        }
    }

    /// Inserts a value, or replaces the value of an existing key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(index) => {
                if let Some(entry) = self.0.get_mut(index) {
                    entry.1 = value;
                }
            }
            Err(index) => self.0.insert(index, (key, value)),
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

    /// Returns the values in ascending order of their keys.
    pub(super) fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }
}

/// A hash map for consecutive ids that this process assigns. Peers cannot choose the keys, so a fast hash that does not resist
/// collision attacks is safe.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// A multiplicative hasher that spreads consecutive numbers over all bits.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio, as in Fibonacci hashing.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The hash table selects the bucket by the lowest bits, but multiplication mixes the highest bits best.
        self.0.rotate_left(32)
    }
}

/// The number of cancelled entries that a [`TimerQueue`] always tolerates before it is compacted.
const MIN_CANCELLED_FOR_COMPACTION: usize = 64;

/// A priority queue of timers, soonest first.
///
/// Cancelling is lazy. A cancelled entry is removed when it expires, when it is at the front while another one is cancelled, or when
/// the queue is compacted: as soon as more than 64 entries, and more than half of all entries, are cancelled. Cancelling the timer of
/// a call that ends early therefore costs almost nothing. [`pop_expired`](Self::pop_expired) may return a cancelled timer, which its
/// caller must ignore.
#[derive(Debug)]
pub(super) struct TimerQueue<K> {
    heap: BinaryHeap<Reverse<(Moment, K)>>,
    /// An upper estimate: an entry that expires after it was cancelled is still counted.
    cancelled: usize,
}

impl<K: Ord + Copy> TimerQueue<K> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            cancelled: 0,
        }
    }

    pub(super) fn set(&mut self, at: Moment, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// Returns the expiry of the soonest timer, which may be a cancelled one.
    pub(super) fn next_expiry(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Removes and returns the soonest timer if it has expired.
    pub(super) fn pop_expired(&mut self, now: Moment) -> Option<(Moment, K)> {
        if self.next_expiry()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Records that one entry was cancelled. `is_live` returns whether an entry is still needed.
    pub(super) fn note_cancelled(&mut self, is_live: impl Fn(Moment, K) -> bool) {
        self.cancelled += 1;
        // Clear the front, so that the driver is rarely woken for a cancelled timer.
        while let Some(Reverse((at, key))) = self.heap.peek()
            && !is_live(*at, *key)
        {
            self.heap.pop();
            self.cancelled = self.cancelled.saturating_sub(1);
        }
        if self.cancelled > MIN_CANCELLED_FOR_COMPACTION.max(self.heap.len() / 2) {
            self.heap.retain(|Reverse((at, key))| is_live(*at, *key));
            self.cancelled = 0;
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
        fn deque_map_behaves_like_btree_map(operations in prop::collection::vec((0..4_u8, 0..30_u32), 0..200)) {
            let (mut tested, mut reference) = (DequeMap::new(), BTreeMap::new());
            for (value, (operation, key)) in operations.into_iter().enumerate() {
                match operation {
                    0 | 1 => {
                        tested.insert(key, value);
                        reference.insert(key, value);
                    }
                    2 => prop_assert_eq!(tested.remove(key), reference.remove(&key)),
                    _ => prop_assert_eq!(tested.pop_first(), reference.pop_first()),
                }
                prop_assert_eq!(tested.get(key), reference.get(&key));
                prop_assert_eq!((tested.len(), tested.is_empty()), (reference.len(), reference.is_empty()));
            }
            prop_assert!(tested.into_values().eq(reference.into_values()));
        }
    }

    #[test]
    fn timer_queue_drops_cancelled_timers_at_the_front() {
        let mut timers = TimerQueue::new();
        for key in 1..=3_u64 {
            timers.set(Moment::from_secs(key), key);
        }
        timers.note_cancelled(|_, key| key != 1);
        assert_eq!(timers.next_expiry(), Some(Moment::from_secs(2)));
        assert_eq!(timers.pop_expired(Moment::from_secs(1)), None);
        assert_eq!(
            timers.pop_expired(Moment::from_secs(2)),
            Some((Moment::from_secs(2), 2))
        );
    }
}
