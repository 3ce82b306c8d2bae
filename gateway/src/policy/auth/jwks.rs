//! Sets of keys that somebody else serves: fetched by the control thread, ahead of requests, and
//! read by workers without a wait.
//!
//! A set is fetched at the start, again every `refresh`, and at once when a token names a key that
//! it does not have, though not more often than every [`COOLDOWN`]: whoever makes up names of keys
//! has nobody fetch for them. The last good set stays in use for as long as fetching fails.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{sync::Notify, sync::watch, time::timeout};
use weir_config::model::JwksUrl;

use super::keys::{KeySet, Source};
use crate::{
    clock::{self, Tick},
    quic::Dialer,
    upstream::{connect::Connector, fetch},
};

/// Between two fetches that tokens ask for; shorter where sets are refreshed more often.
const COOLDOWN: Duration = Duration::from_secs(10);
/// First wait after a failure; doubled after each further one.
const BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait after a failure, unless sets are refreshed more often.
const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// Longest set, in bytes.
const MOST: usize = 1 << 20;

/// A set that was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    /// Differs from that of any other content.
    pub(crate) generation: u64,
}

/// See the module's page. Shared by all workers and the control thread; outlives configurations
/// that name it the same.
#[derive(Debug)]
pub(crate) struct Jwks {
    pub(crate) url: JwksUrl,
    connector: Arc<Connector>,
    current: ArcSwapOption<Fetched>,
    /// Counts attempts that are over; who waits for one watches it.
    over: watch::Sender<u64>,
    wanted: Notify,
    fetching: AtomicBool,
    /// When the last attempt began, in milliseconds since the process did.
    began: AtomicU64,
    good: AtomicU64,
    bad: AtomicU64,
}

impl Jwks {
    pub(crate) fn new(url: JwksUrl, connector: Arc<Connector>) -> Self {
        Self {
            url,
            connector,
            current: ArcSwapOption::empty(),
            over: watch::Sender::new(0),
            wanted: Notify::new(),
            // The first one begins as soon as the control thread gets to it.
            fetching: AtomicBool::new(true),
            began: AtomicU64::new(0),
            good: AtomicU64::new(0),
            bad: AtomicU64::new(0),
        }
    }

    /// Whether one for `url` and these files would be this one again.
    pub(crate) fn equals(&self, url: &JwksUrl, connector: &Connector) -> bool {
        self.url == *url && self.connector.has_files_of(connector)
    }

    /// Its URL without the query, as metrics have it.
    pub(crate) fn label(&self) -> String {
        let url = self.url.to_string();
        url.split('?').next().unwrap_or_default().to_owned()
    }

    /// The set, if one was ever fetched.
    pub(crate) fn current(&self) -> Option<Arc<Fetched>> {
        self.current.load_full()
    }

    /// Attempts that went well and that did not, and how many keys there are.
    pub(crate) fn counts(&self) -> (u64, u64, usize) {
        let keys = self.current.load().as_ref().map_or(0, |set| set.keys.len());
        (self.good.load(Relaxed), self.bad.load(Relaxed), keys)
    }

    /// Whether it is worth a request's while to wait: for an attempt under way or, for a key that
    /// is not known, for one that it may ask for.
    pub(crate) fn is_awaited(&self, now: Tick) -> bool {
        self.fetching.load(Relaxed) || self.current.load().is_some() && self.is_cool(now)
    }

    fn is_cool(&self, now: Tick) -> bool {
        let began = Duration::from_millis(self.began.load(Relaxed));
        since_start(now).saturating_sub(began) >= COOLDOWN.min(self.url.refresh)
    }

    /// Asks for the set and waits until an attempt is over, or for as long as one may take.
    pub(crate) async fn renewed(&self) {
        let mut over = self.over.subscribe();
        if !self.fetching.load(Relaxed) {
            self.wanted.notify_one();
        }
        // In time or not: the caller looks what there is.
        let _ = timeout(self.url.timeout, over.changed()).await;
    }

    /// Fetches the set for as long as it is wanted: on the control thread.
    pub(crate) async fn attend(self: Arc<Self>, dialer: Rc<Dialer>) {
        let mut failures = 0;
        loop {
            let pause = match self.fetch(&dialer).await {
                Ok(()) => {
                    failures = 0;
                    self.url.refresh
                }
                Err(what) => {
                    self.complain(failures, &what);
                    failures += 1;
                    let backoff = BACKOFF * 2_u32.pow(u32::min(failures - 1, 8));
                    backoff.min(BACKOFF_MOST).min(self.url.refresh)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.asked() => {}
            }
        }
    }

    /// Until a request asks for the set, and may.
    async fn asked(&self) {
        loop {
            self.wanted.notified().await;
            if self.is_cool(clock::now()) {
                return;
            }
        }
    }

    async fn fetch(&self, dialer: &Rc<Dialer>) -> Result<(), String> {
        self.fetching.store(true, Relaxed);
        self.began.store(since_start(clock::now()).as_millis() as u64, Relaxed);
        let got = fetch::get(&self.url, &self.connector, dialer, MOST).await;
        let read = got.and_then(|bytes| {
            let keys = KeySet::from_jwks(&bytes, Source::Public)?;
            let mut generation = DefaultHasher::new();
            bytes.hash(&mut generation);
            Ok(Fetched { keys, generation: generation.finish() })
        });
        let result = match read {
            Ok(fetched) => {
                self.tell(&fetched);
                self.current.store(Some(Arc::new(fetched)));
                self.good.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(what) => {
                self.bad.fetch_add(1, Relaxed);
                Err(what)
            }
        };
        self.fetching.store(false, Relaxed);
        self.over.send_modify(|attempts| *attempts += 1);
        result
    }

    fn tell(&self, fetched: &Fetched) {
        let before = self.current.load().as_ref().map(|set| set.generation);
        if before != Some(fetched.generation) {
            tracing::info!(url = %self.url, keys = fetched.keys.len(), "keys of tokens are new");
        }
    }

    /// Once when it begins to fail; afterwards for those who look closely.
    fn complain(&self, failures: u32, what: &str) {
        let url = &self.url;
        match (failures, self.current.load().is_some()) {
            (0, true) => {
                tracing::warn!(%url, what, "keys of tokens: no fetch; the last stay in use");
            }
            (0, false) => {
                tracing::error!(%url, what, "keys of tokens: no fetch; no token can pass");
            }
            _ => tracing::debug!(%url, what, "keys of tokens still cannot be fetched"),
        }
    }
}

/// Ticks are counted from an arbitrary point: the first that is asked for here.
fn since_start(now: Tick) -> Duration {
    now.since(Tick::ZERO)
}
