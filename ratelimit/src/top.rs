//! Who is denied most: a few counters for any number of keys.
//!
//! Space-Saving (Metwally, Agrawal and El Abbadi 2005): a key without a counter takes over the
//! lowest one, and what that had counted is its possible error. With m counters and n denials every
//! key denied more than n/m times is listed, and no count is too high by more than n/m, nor by more
//! than the error told with it.

use crate::key::Key;

/// Counters a list may have: they are looked through one by one.
const ENTRIES_MAX: usize = 256;
/// Longest label kept, in bytes.
const LABEL_MAX: usize = 128;

/// The keys denied most, by limit.
#[derive(Debug, Clone)]
pub struct Top {
    entries: Vec<Entry>,
    max: usize,
}

/// One of the keys denied most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, which belongs to one limit.
    pub key: Key,
    /// What an operator knows it by, cut to 128 bytes.
    pub label: Box<str>,
    /// How often it was denied, or more: at most `error` more.
    pub count: u64,
    /// What of the count may be others'.
    pub error: u64,
}

impl Top {
    /// A list of at most `max` keys, at least 1 and at most 256.
    pub const fn new(max: usize) -> Self {
        let max = if max > ENTRIES_MAX { ENTRIES_MAX } else { max };
        Self { entries: Vec::new(), max: if max == 0 { 1 } else { max } }
    }

    /// Counts a denial of `key`. The label is asked for only if the key is new to the list.
    pub fn record(&mut self, key: Key, label: impl FnOnce() -> String) {
        self.add(key, 1, 0, label);
    }

    /// The list, most denied first.
    pub fn list(&self) -> Vec<Entry> {
        let mut list = self.entries.clone();
        list.sort_by_key(|entry| std::cmp::Reverse(entry.count));
        list
    }

    /// Adds the counts of `other`, say of another thread. Counts stay upper bounds, and errors
    /// bound what is too much.
    pub fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.floor(), other.floor());
        // A key that one list lacks may have been denied as often as its lowest counter says.
        for entry in &mut self.entries {
            if !other.entries.iter().any(|theirs| theirs.key == entry.key) {
                entry.count += theirs;
                entry.error += theirs;
            }
        }
        for entry in &other.entries {
            if let Some(known) = self.entries.iter_mut().find(|known| known.key == entry.key) {
                known.count += entry.count;
                known.error += entry.error;
            } else {
                let (count, error) = (entry.count + mine, entry.error + mine);
                self.entries.push(Entry { count, error, ..entry.clone() });
            }
        }
        self.entries.sort_by_key(|entry| std::cmp::Reverse(entry.count));
        self.entries.truncate(self.max);
    }

    /// Halves all counts: called at an even pace, the list tells of late. Counts and errors are
    /// then halves too, and what is promised of them holds for what came since.
    pub fn fade(&mut self) {
        for entry in &mut self.entries {
            entry.count /= 2;
            entry.error /= 2;
        }
        self.entries.retain(|entry| entry.count > 0);
    }

    /// What a key that is not listed may have been counted at most.
    fn floor(&self) -> u64 {
        if self.entries.len() < self.max {
            return 0;
        }
        self.entries.iter().map(|entry| entry.count).min().unwrap_or(0)
    }

    fn add(&mut self, key: Key, count: u64, error: u64, label: impl FnOnce() -> String) {
        if let Some(known) = self.entries.iter_mut().find(|entry| entry.key == key) {
            known.count += count;
            known.error += error;
            return;
        }
        if self.entries.len() < self.max {
            self.entries.push(Entry { key, label: shortened(label()), count, error });
            return;
        }
        if let Some(lowest) = self.entries.iter_mut().min_by_key(|entry| entry.count) {
            let (count, error) = (lowest.count + count, lowest.count + error);
            *lowest = Entry { key, label: shortened(label()), count, error };
        }
    }
}

fn shortened(mut label: String) -> Box<str> {
    label.truncate(label.floor_char_boundary(LABEL_MAX));
    label.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn key(number: u64) -> Key {
        Key { place: number, shard: 1 }
    }

    /// Few keys often, many seldom.
    fn stream(seed: u64, length: usize) -> Vec<u64> {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..length).map(|_| if rng.bool() { rng.u64(0..8) } else { rng.u64(8..5_000) }).collect()
    }

    fn check(top: &Top, stream: &[u64]) {
        let mut exact: HashMap<Key, u64> = HashMap::new();
        stream.iter().for_each(|number| *exact.entry(key(*number)).or_default() += 1);
        let list = top.list();
        assert!(list.len() <= top.max);
        assert!(list.is_sorted_by(|a, b| a.count >= b.count));
        for entry in &list {
            let exact = exact.get(&entry.key).copied().unwrap_or(0);
            assert!(entry.count >= exact && entry.count - entry.error <= exact, "{entry:?}");
        }
        let often = (stream.len() / top.max) as u64;
        for (key, _) in exact.iter().filter(|(_, count)| **count > often) {
            assert!(list.iter().any(|entry| entry.key == *key), "{key:?}");
        }
    }

    fn counted(stream: &[u64], max: usize) -> Top {
        let mut top = Top::new(max);
        stream.iter().for_each(|number| top.record(key(*number), || number.to_string()));
        top
    }

    #[test]
    fn whoever_is_denied_often_is_listed() {
        for seed in 0..20 {
            let stream = stream(seed, 20_000);
            for max in [10, 64, 256] {
                let top = counted(&stream, max);
                check(&top, &stream);
                let error = top.list().iter().map(|entry| entry.error).max();
                assert!(error <= Some((stream.len() / max) as u64));
            }
        }
    }

    #[test]
    fn lists_of_threads_add_up() {
        for seed in 0..20 {
            let parts = [stream(seed, 20_000), stream(seed + 100, 5_000), stream(7, 10)];
            let mut all = Top::new(64);
            parts.iter().for_each(|part| all.merge(&counted(part, 64)));
            check(&all, &parts.concat());
        }
    }

    #[test]
    fn what_the_other_list_gave_up_is_counted() {
        let parts: [&[u64]; 2] = [&[1, 1, 1, 1, 1, 2, 2, 2, 2, 2], &[1, 1, 3, 3, 3, 4, 4, 4, 4]];
        let mut all = counted(parts[0], 2);
        all.merge(&counted(parts[1], 2));
        assert_eq!(all.list()[1].key, key(1));
        check(&all, &parts.concat());
    }

    #[test]
    fn what_is_long_ago_fades() {
        let mut top = counted(&[1, 1, 1, 1, 2], 8);
        top.fade();
        assert_eq!(top.list().len(), 1);
        assert_eq!(top.list()[0].count, 2);
    }

    #[test]
    fn labels_and_lists_are_bounded() {
        let mut top = Top::new(usize::MAX);
        for number in 0..1_000 {
            top.record(key(number), || "ä".repeat(1_000));
        }
        assert_eq!(top.list().len(), 256);
        assert!(top.list().iter().all(|entry| entry.label.len() == 128));
        top.record(key(999), || unreachable!());
        assert_eq!(Top::new(0).max, 1);
    }
}
