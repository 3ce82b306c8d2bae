//! What servers denied, so that they need not be asked again too soon.

use crate::{
    key::Key,
    moment::{Moment, Nanos},
    remote::{Known, Remote, window_time},
    table::Table,
    window::Counts,
};

/// How things stood with keys that were denied: bounded, for one worker.
#[derive(Debug, Default)]
pub(super) struct Memory {
    moments: Table<Moment>,
    counts: Table<Counts>,
}

impl Memory {
    /// What is known of a key under this limit. Of a bucket that has another rate by now, and so
    /// cannot have gone as far as it did, the server is to say where it stands.
    pub(super) fn find(&self, key: Key, limit: &Remote, now: Nanos) -> Known {
        match limit.unknown() {
            Known::Moment(unknown) => {
                let found = self.moments.find(key).0.filter(|moment| limit.may_be(*moment, now));
                Known::Moment(found.unwrap_or(unknown))
            }
            Known::Counts(unknown) => Known::Counts(self.counts.find(key).0.unwrap_or(unknown)),
        }
    }

    /// Remembers at most `most` keys of each kind.
    pub(super) fn insert(&mut self, key: Key, known: Known, most: usize, now: Nanos) {
        match known {
            Known::Moment(full_at) => {
                self.moments.insert(key, full_at, most, now.get());
            }
            Known::Counts(counts) => {
                self.counts.insert(key, counts, most, window_time(now).get());
            }
        }
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, key: Key) {
        self.moments.remove(key);
        self.counts.remove(key);
    }
}
