//! What outlives a configuration: counts, and the secret that makes their keys unpredictable.

use std::{sync::Arc, time::Duration};

use weir_ratelimit::{Concurrency, Local, Nanos, Secret};

use crate::{
    clock::{self, Tick},
    snapshot::live::Live,
};

/// How often keys that are as good as new are taken out.
const SWEEP: Duration = Duration::from_secs(1);
/// Keys looked at each time: some milliseconds of the control thread, a thousand keys under a lock.
const SWEPT: usize = 100_000;

/// Counts of all limits of the process.
#[derive(Debug)]
pub struct LimitStore {
    pub(super) secret: Secret,
    pub(super) local: Arc<Local>,
    pub(super) concurrency: Arc<Concurrency>,
    max_keys: usize,
}

impl LimitStore {
    /// An empty store for at most so many keys, with random bytes for its secret.
    pub fn new(max_keys: usize, secret: [u8; 16]) -> Self {
        Self {
            secret: Secret::new(secret),
            local: Arc::new(Local::new(max_keys)),
            concurrency: Arc::new(Concurrency::new(max_keys)),
            max_keys,
        }
    }

    /// What is kept of keys.
    pub const fn local(&self) -> &Arc<Local> {
        &self.local
    }

    /// Requests under way, by key.
    pub const fn concurrency(&self) -> &Arc<Concurrency> {
        &self.concurrency
    }

    /// Keys that it holds at the most.
    pub const fn max_keys(&self) -> usize {
        self.max_keys
    }
}

/// Where the counts of limits are kept: what their keys are made with.
#[derive(Debug)]
pub struct Stores<'a> {
    /// By this process.
    pub own: &'a LimitStore,
    /// The secret of those who share servers.
    pub shared: Secret,
}

/// The moment as limits count it.
pub(crate) const fn moment(now: Tick) -> Nanos {
    Nanos::new(now.nanos())
}

/// Takes out what is as good as new, for ever, while there are limits.
pub(crate) async fn sweep(live: Arc<Live>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let snapshot = live.snapshot();
        if snapshot.routes.iter().any(|route| route.limits.is_some()) {
            snapshot.limit_store.local.sweep(moment(clock::now()), SWEPT);
        }
    }
}
