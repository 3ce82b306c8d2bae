//! What keeps the rosters up to date: ejections that end, shares that grow, checks of endpoints.
//! All of it runs on the control thread, one task for each roster and each endpoint that is
//! checked, so that it neither waits for traffic nor holds it up.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use fastrand::Rng;
use tokio::{sync::Semaphore, task::JoinHandle};
use weir_config::model::HealthCheck;

use crate::{
    clock,
    policy::Jwks,
    quic::Dialer,
    snapshot::{Route, Snapshot},
    task,
    upstream::{
        check,
        connect::Connector,
        endpoint::{Endpoint, Upstream},
        roster::Roster,
    },
};

/// Checks under way at a time, over all upstreams; others wait for their turn.
const CHECKS: usize = 256;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Attendance {
    /// By the address in memory of what they attend to, which they keep alive.
    rosters: HashMap<*const Roster, Attended>,
    checks: HashMap<*const Endpoint, Checked>,
    keys: HashMap<*const Jwks, Attended>,
    slots: Arc<Semaphore>,
    dialer: Rc<Dialer>,
    rng: Rng,
}

/// A task that ends when nobody wants it any more.
#[derive(Debug)]
struct Attended(JoinHandle<()>);

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Checked {
    round: Round,
    _task: Attended,
}

/// How one endpoint is checked.
#[derive(Debug, Clone)]
struct Round {
    endpoint: Arc<Endpoint>,
    connector: Arc<Connector>,
    roster: Arc<Roster>,
    check: HealthCheck,
}

impl Round {
    fn equals(&self, upstream: &Upstream) -> bool {
        Arc::ptr_eq(&self.connector, &upstream.connector)
            && Arc::ptr_eq(&self.roster, &upstream.roster)
            && upstream.config.health.as_ref() == Some(&self.check)
    }

    /// Checks for as long as the roster wants it.
    async fn run(self, slots: Arc<Semaphore>, dialer: Rc<Dialer>, mut rng: Rng) {
        loop {
            let Ok(slot) = slots.acquire().await else { return };
            let result = check::run(&self.endpoint, &self.connector, &self.check, &dialer).await;
            drop(slot);
            let pause = self.roster.checked(&self.endpoint, result, &mut rng, clock::now());
            let Some(pause) = pause else { return };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Does for a roster what is due.
async fn attend(roster: Arc<Roster>) {
    loop {
        let next = roster.refresh(clock::now());
        tokio::select! {
            () = tokio::time::sleep_until(next.instant()) => {}
            () = roster.hurry() => {}
        }
    }
}

impl Attendance {
    /// Nothing is attended to yet. `seed` is for the pauses between checks.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rosters: HashMap::new(),
            checks: HashMap::new(),
            keys: HashMap::new(),
            slots: Arc::new(Semaphore::new(CHECKS)),
            dialer: Rc::default(),
            rng: Rng::with_seed(seed),
        }
    }

    /// Makes bounds and endpoints of this configuration those that hold, and attends to them;
    /// what is as before goes on undisturbed. Endpoints that were not checked before are checked
    /// at once.
    pub(super) fn take_over(&mut self, snapshot: &Snapshot) {
        snapshot.routes.iter().for_each(Route::adjust);
        snapshot.adjust_cache(clock::unix_time());
        self.take_over_upstreams(snapshot, |_| true);
        let mut keys = std::mem::take(&mut self.keys);
        for jwks in snapshot.jwks.iter() {
            let key = Arc::as_ptr(jwks);
            let fetch = || Attended(task::spawn(jwks.clone().attend(self.dialer.clone())));
            let task = keys.remove(&key).unwrap_or_else(fetch);
            self.keys.insert(key, task);
        }
    }

    /// The same where nothing but the endpoints of some upstreams is different.
    pub(super) fn take_over_upstreams(
        &mut self,
        snapshot: &Snapshot,
        differs: impl Fn(usize) -> bool,
    ) {
        let mut rosters = std::mem::take(&mut self.rosters);
        let mut checks = std::mem::take(&mut self.checks);
        for (index, upstream) in snapshot.upstreams.iter().enumerate() {
            if differs(index) {
                upstream.adjust(clock::now());
            }
            let key = Arc::as_ptr(&upstream.roster);
            let task = rosters
                .remove(&key)
                .unwrap_or_else(|| Attended(task::spawn(attend(upstream.roster.clone()))));
            self.rosters.insert(key, task);
            let Some(check) = &upstream.config.health else { continue };
            for endpoint in &upstream.endpoints {
                let key = Arc::as_ptr(endpoint);
                let same = checks.remove(&key).filter(|checked| checked.round.equals(upstream));
                let checked = same.unwrap_or_else(|| self.start(upstream, endpoint, check));
                self.checks.insert(key, checked);
            }
        }
    }

    fn start(
        &mut self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        check: &HealthCheck,
    ) -> Checked {
        let round = Round {
            endpoint: endpoint.clone(),
            connector: upstream.connector.clone(),
            roster: upstream.roster.clone(),
            check: check.clone(),
        };
        let (slots, dialer, rng) = (self.slots.clone(), self.dialer.clone(), self.rng.fork());
        let task = task::spawn(round.clone().run(slots, dialer, rng));
        Checked { round, _task: Attended(task) }
    }
}
