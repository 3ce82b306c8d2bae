//! The servers, as all workers of a process see them: where they are, how they fare, and what has
//! been asked of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{Client, IntoConnectionInfo, io::tcp::TcpSettings};

use super::{
    breaker::{Admission, Breaker},
    fault::Fault,
    link::Trouble,
};
use crate::{
    key::{Key, KeyHasher, Secret},
    moment::Nanos,
};

/// How often one kind of fault is told, of a server that answers otherwise.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Where the shared store is, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Options {
    /// `redis://[user[:password]@]host[:port][/database]` or `redis+unix:///path`. Keys are spread
    /// over several by rendezvous: adding one moves only what it takes.
    pub urls: Vec<String>,
    /// How long a request waits for one server.
    pub timeout: Duration,
    /// Connections to each server, per worker. One carries over 100,000 decisions a second.
    pub connections: usize,
    /// Keys that each worker remembers to be denied.
    pub remembered: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".into()],
            timeout: Duration::from_millis(20),
            connections: 1,
            remembered: 10_000,
        }
    }
}

/// A server that cannot be, or none at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    /// No URL.
    #[error("at least one server is needed")]
    None,
    /// Not one that this build can use.
    #[error("`{url}` is not a usable address of a Redis server: {why}")]
    Url {
        /// As written, without what is secret in it.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The same server twice.
    #[error("{0} stands twice in the list")]
    Twice(String),
}

/// The servers of a shared store: one for all workers of a process.
#[derive(Debug)]
pub struct Servers {
    pub(super) list: Box<[Arc<Server>]>,
    pub(super) options: Options,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug)]
pub(super) struct Server {
    /// Host, port and database.
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) health: Health,
    pub(super) counters: Arc<Counters>,
    seed: u64,
}

impl Servers {
    /// The servers of `options`. Nothing is sent.
    ///
    /// # Errors
    /// [`InvalidServer`] if one cannot be used.
    pub fn new(options: Options) -> Result<Self, InvalidServer> {
        let counters = Arc::new(Counters::default());
        let mut list: Vec<Arc<Server>> = Vec::new();
        for url in &options.urls {
            let server = Server::new(url, &counters)?;
            if list.iter().any(|other| other.name == server.name) {
                return Err(InvalidServer::Twice(server.name));
            }
            list.push(Arc::new(server));
        }
        if list.is_empty() {
            return Err(InvalidServer::None);
        }
        Ok(Self { list: list.into(), options, counters })
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Each server's name and whether it counts as up.
    pub fn standing(&self) -> impl Iterator<Item = (&str, bool)> {
        self.list.iter().map(|server| (&*server.name, server.health.is_up()))
    }

    /// The server that keeps `key`: the same in every process, whatever the order of the list.
    pub(super) fn of(&self, key: Key) -> usize {
        if self.list.len() == 1 {
            return 0;
        }
        let score = |server: &Server| scatter(key.number() as u64 ^ server.seed);
        let scored = self.list.iter().enumerate().map(|(i, server)| (score(server), i));
        scored.max().map_or(0, |(_, i)| i)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
const fn scatter(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Server {
    fn new(url: &str, counters: &Arc<Counters>) -> Result<Self, InvalidServer> {
        let invalid = |why: redis::RedisError| {
            let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
            let shown =
                rest.rsplit_once('@').map(|(_, address)| format!("{scheme}://***@{address}"));
            let why = why.to_string();
            // The kind, at its end, is the library's word.
            let why = why.rsplit_once(" - ").map_or(&*why, |(why, _)| why).to_owned();
            InvalidServer::Url { url: shown.unwrap_or_else(|| url.to_owned()), why }
        };
        let info = url.into_connection_info().map_err(invalid)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let name = format!("{}/{}", info.addr(), info.redis_settings().db());
        let client = Client::open(info).map_err(invalid)?;
        // Nothing to hide: it only has to be the same everywhere.
        let seed = KeyHasher::new(&Secret::new([0; 16]), &name).finish().number() as u64;
        let health = Health::default();
        Ok(Self { name, client, health, counters: Arc::clone(counters), seed })
    }

    /// Writes a failure down, and tells of it when it is news.
    pub(super) fn fail(&self, trouble: &Trouble, probe: bool, now: Nanos, rng: &mut fastrand::Rng) {
        let (server, fault, said) = (&*self.name, trouble.fault.name(), &*trouble.said);
        self.counters.fail(trouble.fault);
        if probe && !trouble.fault.is_lasting() {
            // It answers: that is what the probe was to find out.
            self.recover();
        }
        match self.health.fail(trouble.fault, probe, now, rng) {
            News::Down => tracing::warn!(server, fault, said, "Redis counts as down"),
            News::Fault => tracing::warn!(server, fault, said, "Redis did not decide"),
            News::None => {}
        }
    }

    /// Writes a success down, and tells of it when it is news.
    pub(super) fn succeed(&self) {
        self.counters.answer();
        self.recover();
    }

    fn recover(&self) {
        if self.health.succeed() {
            tracing::info!(server = &*self.name, "Redis is up again");
        }
    }
}

/// What of a failure is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Down,
    Fault,
    None,
}

/// How a server fares, by what all workers have seen.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Something failed since the last success: the lock has to be taken.
    troubled: AtomicBool,
    /// How often it went down: connections from before are not used again.
    epoch: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    breaker: Breaker,
    /// When a fault is told again.
    told: [Option<Nanos>; Fault::ALL.len()],
    down: bool,
}

impl Health {
    pub(super) fn admit(&self, now: Nanos) -> Admission {
        if !self.troubled.load(Relaxed) {
            return Admission::Ask;
        }
        self.lock().breaker.admit(now)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    pub(super) fn abandon(&self) {
        self.lock().breaker.abandon();
    }

    fn is_up(&self) -> bool {
        !self.lock().down
    }

    /// Whether it counted as down.
    fn succeed(&self) -> bool {
        if !self.troubled.load(Relaxed) {
            return false;
        }
        let mut inner = self.lock();
        self.troubled.store(false, Relaxed);
        inner.down = false;
        inner.breaker.succeed()
    }

    fn fail(&self, fault: Fault, probe: bool, now: Nanos, rng: &mut fastrand::Rng) -> News {
        let mut inner = self.lock();
        if fault.is_lasting() {
            self.troubled.store(true, Relaxed);
            if inner.breaker.fail(probe, now, rng) {
                self.epoch.fetch_add(1, Relaxed);
                inner.down = true;
                return News::Down;
            }
            if inner.down {
                return News::None;
            }
        }
        let told = &mut inner.told[fault as usize];
        if told.is_some_and(|told| now < told) {
            return News::None;
        }
        *told = Some(Nanos::new(now.get() + Nanos::from(TOLD_EVERY).get()));
        News::Fault
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the shared store has done, since the beginning: all workers together.
#[derive(Debug, Default)]
pub struct Counters {
    answered: AtomicU64,
    remembered: AtomicU64,
    skipped: AtomicU64,
    connections: AtomicU64,
    reloads: AtomicU64,
    faults: [AtomicU64; Fault::ALL.len()],
}

impl Counters {
    /// Calls that servers answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Requests denied from memory, without a call.
    pub fn remembered(&self) -> u64 {
        self.remembered.load(Relaxed)
    }

    /// Calls not made since the server counted as down.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }

    /// Connections opened.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Calls for which a script had to be sent again.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Relaxed)
    }

    /// Calls that failed, by fault.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().map(|fault| (fault, self.faults[fault as usize].load(Relaxed)))
    }

    fn answer(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    fn fail(&self, fault: Fault) {
        self.faults[fault as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn remember(&self) {
        self.remembered.fetch_add(1, Relaxed);
    }

    pub(super) fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    pub(super) fn connect(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(super) fn reload(&self) {
        self.reloads.fetch_add(1, Relaxed);
    }
}
