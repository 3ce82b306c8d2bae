//! News waiting to be told, each a bounded number of times, the least told first.

use std::collections::{BTreeMap, BTreeSet};

use super::member::Slot;

/// Whom there is news about. What the news is, is what is believed when it is told: news that was
/// overtaken is never sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    /// Times told, then the newest first, then whom.
    order: BTreeSet<(u32, u64, Slot)>,
    entries: BTreeMap<Slot, (u32, u64)>,
    serial: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// There is something new about `slot`, which counts as told so often already. When `max` wait,
    /// the most told is dropped.
    pub(super) fn push(&mut self, slot: Slot, told: u32, max: usize) {
        self.remove(slot);
        if self.order.len() >= max
            && let Some((_, _, oldest)) = self.order.pop_last()
        {
            self.entries.remove(&oldest);
        }
        self.serial += 1;
        self.put(slot, told, u64::MAX - self.serial);
    }

    /// Whether anything about `slot` waits.
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.entries.contains_key(&slot)
    }

    fn put(&mut self, slot: Slot, told: u32, newest: u64) {
        self.order.insert((told, newest, slot));
        self.entries.insert(slot, (told, newest));
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some((told, newest)) = self.entries.remove(&slot) {
            self.order.remove(&(told, newest, slot));
        }
    }

    /// Offers news to `write`, the least told first, until it has refused four; what it took counts
    /// as told, and is dropped once told `limit` times.
    pub(super) fn tell(&mut self, limit: u32, mut write: impl FnMut(Slot) -> bool) {
        if self.order.is_empty() {
            return;
        }
        let mut told = Vec::new();
        let mut refused = 0;
        for news in &self.order {
            if write(news.2) {
                told.push(*news);
            } else {
                refused += 1;
                if refused == 4 {
                    break;
                }
            }
        }
        for (count, newest, slot) in told {
            self.remove(slot);
            if count + 1 < limit {
                self.put(slot, count + 1, newest);
            }
        }
    }
}
