//! A route's bound on its requests under way, for each key.

use std::sync::Arc;

use weir_config::model as config;
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
    bound: config::Concurrency,
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
    /// Bounds the requests of this route that are under way for each key. What is under way by an
    /// earlier configuration counts on, while the route's name and the parts stay.
    pub fn new(route: &str, bound: &config::Concurrency, store: &LimitStore) -> Self {
        let scope = format!("concurrency\n{route}\n{}", key::words(&bound.key));
        Self {
            concurrency: store.concurrency.clone(),
            hasher: KeyHasher::new(&store.secret, &scope),
            bound: bound.clone(),
        }
    }

    /// As the file has it.
    pub const fn bound(&self) -> &config::Concurrency {
        &self.bound
    }

    /// A place for one request, if there is one.
    pub(super) fn enter(&self, subject: &Subject<'_>) -> Entry {
        match key::key(self.hasher, &self.bound.key, self.bound.absent, subject) {
            Counted::Not => Entry::Free,
            Counted::Lacking => Entry::Busy,
            Counted::For(key) => match Concurrency::acquire(&self.concurrency, key, self.bound.max)
            {
                Ok(permit) => Entry::Counted(permit),
                Err(_) => Entry::Busy,
            },
        }
    }
}
