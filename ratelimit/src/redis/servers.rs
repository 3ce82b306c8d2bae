//! The servers, as all workers of a process see them: where they are, how they fare, and what has
//! been asked of them.

use std::{sync::Arc, time::Duration};

use redis::{Client, IntoConnectionInfo, io::tcp::TcpSettings};

use super::{
    counters::Counters,
    health::{Health, News},
    link::Trouble,
};
use crate::{
    key::{KeyHasher, Secret},
    moment::Nanos,
};

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
    pub(super) name: Arc<str>,
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
                return Err(InvalidServer::Twice(server.name.to_string()));
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
    pub fn standing(&self) -> impl Iterator<Item = (Arc<str>, bool)> {
        self.list.iter().map(|server| (Arc::clone(&server.name), server.health.is_up()))
    }

    /// The server that keeps `key`: the same in every process, whatever the order of the list.
    pub(super) fn of(&self, key: &[u8]) -> usize {
        if self.list.len() == 1 {
            return 0;
        }
        let hash = hash(tag(key));
        let score = |server: &Server| scatter(hash ^ server.seed);
        let scored = self.list.iter().enumerate().map(|(i, server)| (score(server), i));
        scored.max().map_or(0, |(_, i)| i)
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
        let name: Arc<str> = format!("{}/{}", info.addr(), info.redis_settings().db()).into();
        let client = Client::open(info).map_err(invalid)?;
        let seed = hash(name.as_bytes());
        let health = Health::default();
        Ok(Self { name, client, health, counters: Arc::clone(counters), seed })
    }

    /// Writes a failure down, and tells of it when it is news.
    pub(super) fn fail(&self, trouble: &Trouble, probe: bool, now: Nanos, rng: &mut fastrand::Rng) {
        let (server, fault, said) = (&*self.name, trouble.fault.name(), &*trouble.text);
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
