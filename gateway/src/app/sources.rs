//! Endpoints that no file names: who is asked for them, and what becomes of the answers.

use std::sync::{Arc, Weak};

use weir_config::model::Config;
use weir_discovery::rendezvous::SLOTS;

use super::{App, metrics};
use crate::{
    clock,
    discover::membership::Membership,
    task,
    upstream::{
        endpoint::Upstream,
        pick::hash::{KeyTable, STEP},
    },
    worker::Command,
};

impl App {
    /// Asks what a configuration wants to know beside what is asked already, and waits a moment for
    /// the answers.
    pub(super) async fn ask(&mut self, config: &Config) {
        let views = self.membership.as_ref().map(Membership::handle).map(|handle| handle.views());
        self.discovery.prepare(config, views.as_ref()).await;
    }

    /// Asks what the running configuration wants to know and nothing else, and uses what was told.
    pub(super) async fn settle(&mut self, config: &Config) {
        self.ask(config).await;
        self.discovery.settle(config);
        self.follow().await;
        // Those of the others were made ready when they were found.
        let mut written = self.live.snapshot().upstreams.clone();
        written.retain(|upstream| upstream.config.discovery.is_none());
        make_ready(&written);
    }

    /// Puts the endpoints in place that were found. All else stays as it is.
    pub(super) async fn follow(&mut self) {
        let running = self.live.snapshot();
        let Some((next, changed)) = running.refilled(&self.live.found, clock::now()) else {
            return;
        };
        self.attendance.take_over_upstreams(&next, |index| changed.binary_search(&index).is_ok());
        let upstreams: Vec<Arc<Upstream>> =
            changed.iter().map(|index| next.upstreams[*index].clone()).collect();
        self.live.store(next);
        upstreams.iter().for_each(|upstream| metrics::show_upstream(&self.live, upstream));
        self.workers.tell_all(|| Command::Refresh).await;
        make_ready(&upstreams);
    }
}

/// Makes the tables of those whose endpoints a key decides among ready for their next change. It
/// takes a while among many endpoints, and nobody waits for it; a table that is not in use any more
/// needs it no longer.
fn make_ready(upstreams: &[Arc<Upstream>]) {
    let keys = upstreams.iter().filter_map(|upstream| upstream.keys.as_ref());
    let tables: Vec<Weak<KeyTable>> =
        keys.filter(|table| table.prepares()).map(Arc::downgrade).collect();
    if tables.is_empty() {
        return;
    }
    let ready = task::aside(move || {
        for table in tables {
            let steps = SLOTS as usize / STEP + 1;
            (0..steps).all(|_| table.upgrade().is_some_and(|table| table.prepare()));
        }
    });
    // Nobody waits for it.
    drop(ready);
}
