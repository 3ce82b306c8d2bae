//! Places of requests under way that gateways count together: one worker's, on their servers.
//!
//! A place is given back when the exchange drops its permit, whatever the reason. A task tells the
//! servers at once, and renews the leases of the others while there are any.

use std::{
    cell::Cell,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use weir_ratelimit::{
    Concurrency,
    redis::{Refused, Room, SharedConcurrency, SharedPermit},
};

use super::{per_key::Asking, shared::Servers, store};
use crate::{clock, task};

/// How often leases are looked at: ten times in the shortest there is.
const LOOK: Duration = Duration::from_millis(100);

/// One worker's requests under way that gateways count together.
#[derive(Debug)]
pub(super) struct Places {
    all: Rc<SharedConcurrency>,
    tended: Cell<bool>,
}

impl Places {
    /// Nothing is sent or started before the first request asks. What is under way counts in `here`
    /// as well, for all workers.
    pub(super) fn new(servers: &Arc<Servers>, here: &Arc<Concurrency>, rng: fastrand::Rng) -> Self {
        let all = SharedConcurrency::new(servers.clone(), here.clone(), rng);
        Self { all, tended: Cell::new(false) }
    }

    /// A place for one request; `members` is how many gateways are alive.
    pub(super) async fn enter(
        &self,
        asking: Asking,
        members: u32,
    ) -> Result<SharedPermit, Refused> {
        if !self.tended.replace(true) {
            task::spawn(tend(Rc::downgrade(&self.all)));
        }
        let Asking { key, max, lease, on_failure } = asking;
        let room = Room { max, lease, on_failure, members };
        self.all.acquire(key, room, store::moment(clock::now())).await
    }

    /// Gives all places back at the end of the worker, of requests that are cut off as well.
    pub(super) async fn leave(&self) {
        self.all.end_all(store::moment(clock::now())).await;
    }
}

/// Renews and gives back, until nobody can ask any more and nothing is under way.
async fn tend(all: Weak<SharedConcurrency>) {
    while let Some(all) = all.upgrade() {
        if Rc::strong_count(&all) == 1 && all.is_idle() {
            return;
        }
        let _ = tokio::time::timeout(LOOK, all.ended()).await;
        all.tend(store::moment(clock::now())).await;
    }
}
