//! The records that gateways share, as one thread has them.

use std::{rc::Rc, sync::Arc, time::Duration};

use weir_ratelimit::redis::{Runner, Servers};

use super::{redis::RedisStore, rule::Rule};
use crate::snapshot::Snapshot;

/// A server is asked for at least as long, whatever `redis.timeout` says: a limit can do without
/// its answer, a key cannot.
const PATIENCE: Duration = Duration::from_millis(500);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct SharedRecords {
    store: Rc<RedisStore>,
    servers: Arc<Servers>,
    patience: Duration,
}

impl SharedRecords {
    /// The way to the records of a configuration; `None` if no route shares any. That of `before`
    /// if it is the same.
    pub(crate) fn of(
        snapshot: &Snapshot,
        before: Option<&Rc<Self>>,
        rng: &mut fastrand::Rng,
    ) -> Option<Rc<Self>> {
        let servers = snapshot.shared_store.as_ref()?.servers();
        let mut rules = snapshot.routes.iter().filter_map(|route| route.idempotency.as_ref());
        if !rules.any(Rule::is_shared) {
            return None;
        }
        let patience = snapshot.config.redis.as_ref().map_or(PATIENCE, |redis| redis.timeout);
        let patience = patience.max(PATIENCE);
        let same = before
            .filter(|before| Arc::ptr_eq(&before.servers, servers) && before.patience == patience);
        if let Some(before) = same {
            return Some(before.clone());
        }
        let runner = Rc::new(Runner::new(servers.clone(), rng.fork()));
        let store = Rc::new(RedisStore::new(runner, patience, rng.u64(..)));
        Some(Rc::new(Self { store, servers: servers.clone(), patience }))
    }

    /// The store.
    pub(crate) const fn store(&self) -> &Rc<RedisStore> {
        &self.store
    }
}
