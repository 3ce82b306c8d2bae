//! A route's bound on its requests under way, for each key.

use std::{sync::Arc, time::Duration};

use weir_config::model::{self as config, PlaceStore};
use weir_ratelimit::{Concurrency, Key, KeyHasher, Permit, redis::SharedPermit};

use super::{
    Stores,
    key::{self, Counted, Subject},
    route::on_failure,
    shared::OnFailure,
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
    /// The servers that gateways share are to be asked.
    Open(Asking),
    /// It is none of those that are bounded.
    Free,
    /// It may not.
    Busy,
}

/// A question for the servers that gateways share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    pub(super) key: Key,
    pub(super) max: u32,
    pub(super) lease: Duration,
    pub(super) on_failure: OnFailure,
}

/// A request's place among those of its key, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what happens when they are dropped")]
pub(crate) enum KeyPermit {
    /// Counted by this gateway.
    Here(Permit),
    /// Counted by all gateways together.
    Shared(Box<SharedPermit>),
}

impl KeyedBulkhead {
    /// Bounds the requests of this route that are under way for each key. What is under way by an
    /// earlier configuration counts on, while the route's name and the parts stay.
    pub fn new(route: &str, bound: &config::Concurrency, stores: &Stores<'_>) -> Self {
        let scope = format!("concurrency\n{route}\n{}", key::words(&bound.key));
        let secret = match bound.store {
            PlaceStore::Local => &stores.own.secret,
            PlaceStore::Redis { .. } => &stores.shared,
        };
        Self {
            concurrency: stores.own.concurrency.clone(),
            hasher: KeyHasher::new(secret, &scope),
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
            Counted::For(key) => match self.bound.store {
                PlaceStore::Local => {
                    let permit = Concurrency::acquire(&self.concurrency, key, self.bound.max);
                    permit.map_or(Entry::Busy, Entry::Counted)
                }
                PlaceStore::Redis { lease, on_failure: policy } => {
                    let (max, on_failure) = (self.bound.max, on_failure(policy));
                    Entry::Open(Asking { key, max, lease, on_failure })
                }
            },
        }
    }
}
