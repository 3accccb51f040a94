//! What is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Moment;

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
