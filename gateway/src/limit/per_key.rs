//! A route's bound on its requests under way, for each key.

use std::sync::Arc;

use weir_config::model::{AbsentKey, KeyPart};
use weir_ratelimit::{Concurrency, KeyHasher, Permit};

use super::{
    LimitStore,
    key::{self, Counted, Subject},
};

/// So many at once of each key. What is beyond is turned away, as by a bulkhead.
#[derive(Debug)]
pub struct KeyedBulkhead {
    concurrency: Arc<Concurrency>,
    hasher: KeyHasher,
    parts: Vec<KeyPart>,
    absent: AbsentKey,
    max: u32,
}

/// Whether a request may begin.
#[derive(Debug)]
pub(super) enum Entry {
    /// It counts until this is dropped.
    Counted(Permit),
    /// It is none of those that are bounded.
    Free,
    /// It may not.
    Busy,
}

impl KeyedBulkhead {
    /// At most `max` requests of this route under way for each tuple of `parts`. What is under way by
    /// an earlier configuration counts on, while route and parts stay.
    pub fn new(
        route: &str,
        parts: &[KeyPart],
        absent: AbsentKey,
        max: u32,
        store: &LimitStore,
    ) -> Self {
        let scope = format!("concurrency\n{route}\n{}", key::words(parts));
        Self {
            concurrency: store.concurrency.clone(),
            hasher: KeyHasher::new(&store.secret, &scope),
            parts: parts.to_vec(),
            absent,
            max,
        }
    }

    /// The bound of each key.
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// A place for one request, if there is one.
    pub(super) fn enter(&self, subject: &Subject<'_>) -> Entry {
        match key::key(self.hasher, &self.parts, self.absent, subject) {
            Counted::Not => Entry::Free,
            Counted::Lacking => Entry::Busy,
            Counted::For(key) => match Concurrency::acquire(&self.concurrency, key, self.max) {
                Ok(permit) => Entry::Counted(permit),
                Err(_) => Entry::Busy,
            },
        }
    }
}
