//! The servers, as all workers of a process see them: where they are, how they fare, and what has
//! been asked of them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use redis::{Client, ConnectionInfo, IntoConnectionInfo, RedisError, io::tcp::TcpSettings};

use super::{
    cluster::{Range, slot},
    counters::Counters,
    health::{Health, News},
    leases::Leases,
    link::Trouble,
    map::Map,
};
use crate::{
    key::{KeyHasher, Secret},
    moment::Nanos,
};

/// The shortest time from one look at a cluster to the next, before jitter.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What several servers have to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Topology {
    /// Nothing: keys are spread over them by rendezvous. Adding one moves only what it takes.
    #[default]
    Sharded,
    /// They are a Redis Cluster. Those of the configuration are asked who else there is.
    Cluster,
}

/// Where the shared store is, and how long to wait for it.
#[derive(Clone)]
pub struct Options {
    /// `redis://[user[:password]@]host[:port][/database]` or `redis+unix:///path`. Of a cluster,
    /// some of its nodes; all are spoken to with the first one's name and password.
    pub urls: Vec<String>,
    /// What they have to do with each other.
    pub topology: Topology,
    /// How long a request waits for one server, to begin with: [`Servers::set_timeout`].
    pub timeout: Duration,
    /// Connections to each server, per worker. One carries over 100,000 decisions a second.
    pub connections: usize,
    /// Keys that each worker remembers to be denied.
    pub remembered: usize,
}

impl fmt::Debug for Options {
    /// Without the URLs, which may have passwords in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("urls", &self.urls.len())
            .field("topology", &self.topology)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".into()],
            topology: Topology::Sharded,
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
    map: Mutex<Arc<Map>>,
    /// How often the map has been replaced.
    version: AtomicU64,
    /// Something suggests that the map is out of date.
    doubted: AtomicBool,
    /// Before this moment the cluster is not looked at again.
    look_at: AtomicU64,
    /// How long a request waits for one, in nanoseconds.
    timeout: AtomicU64,
    /// What they have lent to this process.
    pub(super) leases: Leases,
    pub(super) options: Options,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug)]
pub(super) struct Server {
    /// Host, port and database.
    pub(super) name: Arc<str>,
    pub(super) info: ConnectionInfo,
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
            let server = Server::new(url, options.topology, &counters)?;
            if list.iter().any(|other| other.name == server.name) {
                return Err(InvalidServer::Twice(server.name.to_string()));
            }
            list.push(Arc::new(server));
        }
        if list.is_empty() {
            return Err(InvalidServer::None);
        }
        Ok(Self {
            map: Mutex::new(Arc::new(Map::new(list))),
            version: AtomicU64::new(0),
            doubted: AtomicBool::new(options.topology == Topology::Cluster),
            look_at: AtomicU64::new(0),
            timeout: AtomicU64::new(Nanos::from(options.timeout).get()),
            leases: Leases::default(),
            options,
            counters,
        })
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How long a request waits for a server.
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout.load(Relaxed))
    }

    /// Lets requests wait so long from now on. Unlike all else in [`Options`] that needs no other
    /// servers, so that what is known of these is kept.
    pub fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(Nanos::from(timeout).get(), Relaxed);
    }

    /// Each server's name and whether it counts as up. Of a cluster, the masters once they are
    /// known.
    pub fn standing(&self) -> impl Iterator<Item = (Arc<str>, bool)> {
        self.map().standing().into_iter()
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.options.topology == Topology::Cluster
    }

    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.lock())
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Where `key` lies, the same in every process: its slot in a cluster, else the place of its
    /// server in the list, whose order does not matter.
    pub(super) fn place(&self, key: &[u8], nodes: &[Arc<Server>]) -> usize {
        if self.is_cluster() {
            return slot(tag(key));
        }
        if nodes.len() == 1 {
            return 0;
        }
        let hash = hash(tag(key));
        let score = |server: &Server| scatter(hash ^ server.seed);
        let scored = nodes.iter().enumerate().map(|(i, server)| (score(server), i));
        scored.max().map_or(0, |(_, i)| i)
    }

    /// Has the cluster looked at again, before long.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Relaxed);
    }

    /// Whether the caller is the one to look at the cluster now.
    pub(super) fn claim_look(&self, now: Nanos, rng: &mut fastrand::Rng) -> bool {
        let look_at = self.look_at.load(Relaxed);
        if !self.doubted.load(Relaxed) || now.get() < look_at {
            return false;
        }
        let pause = Nanos::from(LOOK_EVERY.mul_f64(0.75 + rng.f64() / 2.0));
        let next = now.get().saturating_add(pause.get());
        let claimed = self.look_at.compare_exchange(look_at, next, Relaxed, Relaxed).is_ok();
        if claimed {
            self.doubted.store(false, Relaxed);
        }
        claimed
    }

    /// Takes in what `teller` says of its cluster.
    pub(super) fn adopt(&self, ranges: &[Range], teller: &Server) {
        let mut map = self.lock();
        let next = map.told(ranges, teller);
        if !next.is_same(&map) {
            tracing::info!(teller = &*teller.name, "Redis Cluster has other masters");
            *map = Arc::new(next);
            self.version.fetch_add(1, Release);
        }
    }

    /// The place in the map of the node that `teller` sends somebody to.
    pub(super) fn learn(&self, host: Option<&str>, port: u16, teller: &Server) -> Option<usize> {
        let mut map = self.lock();
        let mut next = Map::clone(&map);
        let place = next.find(host, port, teller)?;
        if next.nodes.len() > map.nodes.len() {
            *map = Arc::new(next);
            self.version.fetch_add(1, Release);
        }
        Some(place)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Map>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a key says where it lies: what stands in its first braces, if anything does (Redis
/// Cluster specification, "Hash tags"), else all of it.
fn tag(key: &[u8]) -> &[u8] {
    let inside = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    };
    inside().unwrap_or(key)
}

/// Nothing to hide: it only has to be the same everywhere.
fn hash(bytes: &[u8]) -> u64 {
    KeyHasher::new(&Secret::new([0; 16]), "").part(bytes).finish().number() as u64
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
const fn scatter(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Server {
    fn new(url: &str, topology: Topology, counters: &Arc<Counters>) -> Result<Self, InvalidServer> {
        let invalid = |why: String| {
            let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
            let shown =
                rest.rsplit_once('@').map(|(_, address)| format!("{scheme}://***@{address}"));
            // The kind, at its end, is the library's word.
            let why = why.rsplit_once(" - ").map_or(&*why, |(why, _)| why).to_owned();
            InvalidServer::Url { url: shown.unwrap_or_else(|| url.to_owned()), why }
        };
        let said = |error: RedisError| invalid(error.to_string());
        let info = url.into_connection_info().map_err(said)?;
        if topology == Topology::Cluster && info.redis_settings().db() != 0 {
            return Err(invalid("a cluster has one database, 0".into()));
        }
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Self::at(info, Arc::clone(counters)).map_err(said)
    }

    /// The server that `info` leads to.
    pub(super) fn at(info: ConnectionInfo, counters: Arc<Counters>) -> Result<Self, RedisError> {
        let name: Arc<str> = Self::name_of(&info).into();
        let client = Client::open(info.clone())?;
        let seed = hash(name.as_bytes());
        Ok(Self { name, info, client, health: Health::default(), counters, seed })
    }

    pub(super) fn name_of(info: &ConnectionInfo) -> String {
        format!("{}/{}", info.addr(), info.redis_settings().db())
    }

    /// Writes a failure down, and tells of it when it is news.
    pub(super) fn fail(&self, trouble: &Trouble, probe: bool, now: Nanos, rng: &mut fastrand::Rng) {
        let (server, fault, said) = (&*self.name, trouble.fault.name(), &*trouble.text);
        self.counters.fail(trouble.fault);
        if probe && !trouble.fault.is_lasting() {
            // It answers: that is what the probe was to find out.
            self.recover(true);
        }
        match self.health.fail(trouble.fault, probe, now, rng) {
            News::Down => tracing::warn!(server, fault, said, "Redis counts as down"),
            News::Fault => tracing::warn!(server, fault, said, "Redis did not decide"),
            News::None => {}
        }
    }

    /// Writes a success down, and tells of it when it is news.
    pub(super) fn succeed(&self, probe: bool) {
        self.counters.answer();
        self.recover(probe);
    }

    /// It answers.
    pub(super) fn recover(&self, probe: bool) {
        if self.health.succeed(probe) {
            tracing::info!(server = &*self.name, "Redis is up again");
        }
    }
}
