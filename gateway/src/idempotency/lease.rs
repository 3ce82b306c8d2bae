//! A claim, kept for as long as its request is under way.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use super::{
    key::RecordKey,
    record::Recording,
    state::{Fence, Terms},
    store::Store,
};
use crate::{
    clock::{self, Tick},
    snapshot::live::Errand,
    task,
};

/// The first pause before an outcome that the store did not take is said again, and the longest.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// A claim that is renewed every third of its lease, until this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    claim: Rc<Claim>,
    renewal: JoinHandle<()>,
}

#[derive(Debug)]
struct Claim {
    store: Store,
    key: RecordKey,
    fence: Fence,
    terms: Terms,
    /// When it is over, as far as this gateway knows. Not later than that is true: it counts from
    /// before the store was asked.
    ends: Rc<Cell<Tick>>,
    lost: Cell<bool>,
}

impl Claim {
    /// Renews it until it is lost.
    async fn renew(self: Rc<Self>) {
        while !self.lost.get() {
            tokio::time::sleep(self.terms.lease / 3).await;
            let now = clock::now();
            // What the store does not say now it may say next time.
            match self.store.renew(&self.key, self.fence, &self.terms, now).await {
                Ok(true) => self.ends.set(now + self.terms.lease),
                Ok(false) => {
                    self.lost.set(true);
                    self.ends.set(now);
                }
                Err(_) => {}
            }
        }
    }

    /// Whether the store has heard what came of it, or never will.
    async fn complete(&self, recording: Arc<Recording>) -> bool {
        let (key, now) = (&self.key, clock::now());
        let completed = self.store.complete(key, self.fence, recording, &self.terms, now).await;
        if completed == Ok(false) {
            tracing::warn!(record = %key, "the lease was over before the outcome was there");
        }
        completed.is_ok()
    }
}

impl Lease {
    /// Keeps a claim that was made at `now`.
    pub(super) fn keep(
        store: Store,
        key: RecordKey,
        fence: Fence,
        terms: Terms,
        now: Tick,
    ) -> Self {
        let (ends, lost) = (Rc::new(Cell::new(now + terms.lease)), Cell::new(false));
        let claim = Rc::new(Claim { store, key, fence, terms, ends, lost });
        let renewal = task::spawn(claim.clone().renew());
        Self { claim, renewal }
    }

    /// Until when it holds, as long as nothing more is heard.
    pub(super) fn ends(&self) -> Rc<Cell<Tick>> {
        self.claim.ends.clone()
    }

    /// Stores what came of it. Where the store does not take it, it is told again beside, until
    /// the lease is over: the client need not wait for that, a shutdown does. The lease is renewed
    /// no more: a store that takes everything but the outcome would be told for ever.
    pub(super) async fn complete(self, recording: Recording, errand: &Errand) {
        let recording = Arc::new(recording);
        if self.claim.lost.get() || self.claim.complete(recording.clone()).await {
            return;
        }
        self.renewal.abort();
        let errand = errand.clone();
        task::spawn(async move {
            let _errand = errand;
            let mut pause = AGAIN;
            while !self.claim.lost.get() && clock::now() < self.claim.ends.get() {
                tokio::time::sleep(pause).await;
                if self.claim.complete(recording.clone()).await {
                    return;
                }
                pause = (pause * 2).min(AGAIN_MAX);
            }
        });
    }

    /// Nothing was sent, or the upstream refused it: the next request with the key runs.
    pub(super) async fn release(self) {
        let Claim { store, key, fence, terms, .. } = &*self.claim;
        // Where that does not arrive, the key is unknown once the lease is over.
        let _ = store.release(key, *fence, terms, clock::now()).await;
    }

    /// It was sent, and what came of it is unknown.
    pub(super) async fn forsake(self) {
        let Claim { store, key, fence, terms, .. } = &*self.claim;
        let _ = store.forsake(key, *fence, terms, clock::now()).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
