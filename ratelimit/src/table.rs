//! A small hash table of keys and what is kept of them: the inside of one shard.
//!
//! Open addressing with linear probing. Beside a general map it has what a bounded store needs:
//! entries of nothing but key and value; growth by a third, so that a table that has grown is never
//! under 9/16 full; and when there is no more room, a look at the neighbours, among which the one
//! that loses least goes.

use crate::key::Key;

#[cfg(test)]
mod tests;

/// What is kept of a key.
pub(crate) trait Kept: Copy + Default {
    /// The moment, in nanoseconds, from which a key without entry would be treated the same.
    fn spent_at(&self) -> u64;
}

/// Neighbours looked at when one has to go.
const NEIGHBOURS: usize = 8;
const PLACES_MIN: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Entry<V> {
    key: Key,
    value: V,
}

#[derive(Debug)]
pub(crate) struct Table<V> {
    /// At least a quarter of the places is free, and thus every search ends.
    places: Vec<Entry<V>>,
    len: usize,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { places: Vec::new(), len: 0 }
    }
}

impl<V: Kept> Table<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the places, taken or free.
    pub(crate) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Entry<V>>()
    }

    /// What is kept of `key`, if anything, and where it is or would go.
    #[inline]
    pub(crate) fn find(&self, key: Key) -> (Option<V>, usize) {
        if self.places.is_empty() {
            return (None, 0);
        }
        let mut place = self.home(key);
        loop {
            let entry = &self.places[place];
            if entry.key == key {
                return (Some(entry.value), place);
            }
            if entry.key == Key::NONE {
                return (None, place);
            }
            place = self.next(place);
        }
    }

    /// Replaces what is kept at `place`, which [`Table::find`] has just said to be taken.
    #[inline]
    pub(crate) fn replace(&mut self, place: usize, value: V) {
        self.places[place].value = value;
    }

    /// Keeps `value` for `key`. When there are `max` others, a neighbour goes; whether that was
    /// before its time, by `now`, is returned.
    pub(crate) fn insert(&mut self, key: Key, value: V, max: usize, now: u64) -> bool {
        let (found, place) = self.find(key);
        if found.is_some() {
            self.replace(place, value);
            return false;
        }
        let lost = self.len >= max.max(1) && self.evict(key, now);
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.resize((self.places.len() * 4 / 3).max(PLACES_MIN));
        }
        let (_, place) = self.find(key);
        self.places[place] = Entry { key, value };
        self.len += 1;
        lost
    }

    /// Takes `key` out.
    pub(crate) fn remove(&mut self, key: Key) {
        let (found, place) = self.find(key);
        if found.is_some() {
            self.clear(place);
        }
    }

    /// Takes out what is spent by `now`, gives back room, and returns how many went.
    pub(crate) fn sweep(&mut self, now: u64) -> usize {
        let before = self.len;
        let mut place = 0;
        while place < self.places.len() {
            let entry = &self.places[place];
            if entry.key != Key::NONE && entry.value.spent_at() <= now {
                // Another may have moved here: look again.
                self.clear(place);
            } else {
                place += 1;
            }
        }
        // Far below what growth leaves, so that a shard does not go back and forth.
        if self.len * 4 < self.places.len() && self.places.len() > PLACES_MIN {
            let enough = if self.len == 0 { 0 } else { (self.len * 2).max(PLACES_MIN) };
            self.resize(enough);
        }
        before - self.len
    }

    /// The keys and what is kept of them.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, V)> {
        let taken = self.places.iter().filter(|entry| entry.key != Key::NONE);
        taken.map(|entry| (entry.key, entry.value))
    }

    /// Where `key` goes when nobody is in its way.
    #[inline]
    fn home(&self, key: Key) -> usize {
        key.place_of(self.places.len())
    }

    #[inline]
    fn next(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }

    /// Takes out whichever neighbour of `key`'s home is spent first.
    fn evict(&mut self, key: Key, now: u64) -> bool {
        let mut place = self.home(key);
        let mut first: Option<(u64, usize)> = None;
        let mut seen = 0;
        for _ in 0..self.places.len() {
            let entry = &self.places[place];
            if entry.key != Key::NONE {
                let this = (entry.value.spent_at(), place);
                first = Some(first.map_or(this, |first| first.min(this)));
                seen += 1;
            }
            if seen == NEIGHBOURS {
                break;
            }
            place = self.next(place);
        }
        let Some((spent_at, place)) = first else { return false };
        self.clear(place);
        spent_at > now
    }

    /// Frees `place` and moves up those behind it that had to give way.
    fn clear(&mut self, mut place: usize) {
        let mut from = place;
        loop {
            from = self.next(from);
            let entry = self.places[from];
            if entry.key == Key::NONE {
                break;
            }
            let home = self.home(entry.key);
            // It may move unless its home lies behind the free place, seen cyclically.
            let stays = if place < from {
                place < home && home <= from
            } else {
                place < home || home <= from
            };
            if !stays {
                self.places[place] = entry;
                place = from;
            }
        }
        self.places[place] = Entry { key: Key::NONE, value: V::default() };
        self.len -= 1;
    }

    fn resize(&mut self, places: usize) {
        let free = Entry { key: Key::NONE, value: V::default() };
        let mut old = Vec::new();
        old.reserve_exact(places);
        old.resize(places, free);
        std::mem::swap(&mut old, &mut self.places);
        for entry in old {
            if entry.key != Key::NONE {
                let (_, place) = self.find(entry.key);
                self.places[place] = entry;
            }
        }
    }
}
