//! The validated configuration: what a `weir.yaml` means, with every default filled in.
//!
//! Values here are parsed, not validated again: a `Config` that exists is one that the gateway can
//! compile, but for what only the machine knows (a port in use, a certificate that does not load).
//! [`At`] says where in the file a thing stands, so that such a late error names its line too.

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

mod auth;
mod balance;
mod cache;
mod discovery;
mod health;
mod idempotency;
mod limit;
mod log;
mod membership;
mod network;
mod resilience;
mod route;
mod script;
mod servers;
mod trace;
mod traffic;
mod web;

pub use auth::*;
pub use balance::{Balance, HashBalance};
pub use cache::{CacheKey, CacheStore, ParameterName, Parameters, QueryKey, RouteCache};
pub use discovery::{Discovery, DiscoverySource, Resolver};
pub use health::{HealthCheck, Outlier, Probe, StatusRange};
pub use idempotency::{
    IdempotencyStore, RecordStore, RouteIdempotency, StatusClasses, Unkept, UnknownOutcome,
};
pub use limit::{
    AbsentKey, Concurrency, Cost, KeyPart, OnStoreFailure, PlaceStore, RateAlgorithm, RateLimit,
    RateStore, StoreMode,
};
pub use log::{AccessLog, Level, Log};
pub use membership::Membership;
pub use network::{Network, Networks, NotNetwork};
pub use resilience::{
    Adaptive, Backoff, Breaker, Fallback, Hedge, MemoryLimit, Priority, Retry, RetryBudget,
    RetryOn, RoutePriority, SlowCalls,
};
pub use route::{
    Action, Forward, HeaderEdit, HeaderEdits, HostMatch, PathMatch, Piece, Redirect, Respond,
    Rewrite, Route, RouteMatch, RouteTimeout, Segment, ValueMatch,
};
pub use script::{LuaValue, OnScriptError, RouteScript, ScriptSource};
pub use servers::{Redis, RedisUrl};
pub use trace::{Collector, Tracing};
pub use traffic::{Fault, FaultAbort, FaultDelay, Files, Maintenance, Mirror, Sticky, Traffic};
pub use web::{
    Compress, Cors, Decompress, Encoding, FrameOptions, Levels, MediaRange, Names, Origin, Origins,
    SecurityHeaders, Web,
};

/// Where in a file a value was written: line and column, both counted from 1; 0 is "a default".
///
/// All places are equal, so that two configurations are equal when they mean the same, wherever
/// their lines stand.
#[derive(Debug, Clone, Copy, Default)]
pub struct At {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for At {}

/// One whole file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads; `None` is one per core.
    pub workers: Option<NonZeroU32>,
    /// The admin listener; `None` is off.
    pub admin: Option<Admin>,
    /// Where traffic comes in.
    pub listeners: Vec<Listener>,
    /// Bounds that hold for every listener.
    pub limits: Limits,
    /// Time-outs of the downstream side.
    pub timeouts: Timeouts,
    /// What is logged.
    pub log: Log,
    /// Spans of requests; `None` is none.
    pub tracing: Option<Tracing>,
    /// Who is asked for the names of `discovery`.
    pub resolver: Resolver,
    /// The servers of what gateways share; `None` is off.
    pub redis: Option<Redis>,
    /// How members find each other; `None` is off.
    pub membership: Option<Membership>,
    /// What `rate_limits` names, in file order; routes hold copies of what they use.
    pub rate_limits: Vec<RateLimit>,
    /// What is kept of responses; `None` is off.
    pub cache: Option<CacheStore>,
    /// What records of idempotency keys may take.
    pub idempotency: IdempotencyStore,
    /// What routes answer that say nothing of it themselves; each has it as its own, too.
    pub maintenance: Option<Maintenance>,
    /// Groups of endpoints, in file order.
    pub upstreams: Vec<Upstream>,
    /// Routes, in file order.
    pub routes: Vec<Route>,
}

impl Config {
    /// Every value of requests that an expression in Lua makes.
    pub fn lua_values(&self) -> impl Iterator<Item = &LuaValue> {
        let of_routes = self.routes.iter().flat_map(|route| {
            let sticky: &[KeyPart] = match &route.traffic.sticky {
                Some(Sticky::Key(key)) => key,
                Some(Sticky::Cookie { .. }) | None => &[],
            };
            let places = route.concurrency.iter().flat_map(|places| &places.key);
            let limits = route.rate_limits.iter().filter(|limit| !limit.shared);
            limits.flat_map(|limit| &limit.key).chain(places).chain(sticky)
        });
        let shared = self.rate_limits.iter().flat_map(|limit| &limit.key);
        let hashed = self.upstreams.iter().filter_map(|upstream| upstream.hash.as_ref());
        let parts = shared.chain(hashed.flat_map(|hash| &hash.key)).chain(of_routes);
        let cached = self.routes.iter().filter_map(|route| route.cache.as_ref());
        let of_parts = parts.filter_map(|part| match part {
            KeyPart::Lua(value) => Some(value),
            _ => None,
        });
        of_parts.chain(cached.flat_map(|cache| &cache.key.lua))
    }
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address to bind.
    pub bind: Bind,
    /// Bearer token; required for every request when set.
    pub token: Option<Secret>,
    /// Whether the file says so; a default that cannot bind is a warning, a written one an error.
    pub written: bool,
}

/// A value that never shows in logs, `--explain` or `/config`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// An address to listen on. `:8080` means every IPv6 and IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bind {
    /// `[::]:PORT`, accepting IPv4 too (or `0.0.0.0:PORT` where the machine has no IPv6).
    Any(u16),
    /// A fixed address.
    Tcp(SocketAddr),
    /// `unix:/path/to.sock`.
    Unix(PathBuf),
}

impl Bind {
    /// Only processes of this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Any(_) => false,
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The port; `None` for a Unix socket.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Any(port) => Some(*port),
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// Port 0: the system picks another one each time.
    #[must_use]
    pub fn is_chosen_by_system(&self) -> bool {
        self.port() == Some(0)
    }

    /// The same address with another port; a Unix socket stays what it is.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        match self {
            Self::Any(_) => Self::Any(port),
            Self::Tcp(address) => Self::Tcp(SocketAddr::new(address.ip(), port)),
            Self::Unix(path) => Self::Unix(path.clone()),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, ":{port}"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it stands in the file.
    pub at: At,
    /// Address to bind; unique among listeners.
    pub bind: Bind,
    /// TLS, when the listener ends it.
    pub tls: Option<ServerTls>,
    /// HTTP versions offered; never empty.
    pub protocols: Protocols,
    /// Whether HTTP/3 takes requests in TLS 1.3 early data.
    pub early_data: bool,
    /// What responses of HTTP/1.1 and HTTP/2 say of HTTP/3.
    pub alt_svc: AltSvc,
    /// Whether each TCP connection begins with a PROXY protocol header (v1 or v2).
    pub proxy_protocol: bool,
    /// How many entries of X-Forwarded-For, from the right, were written by proxies of ours.
    pub trusted_hops: u32,
}

/// HTTP versions a listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.0 and HTTP/1.1.
    pub h1: bool,
    /// HTTP/2: by ALPN with TLS, by prior knowledge without.
    pub h2: bool,
    /// HTTP/3: on the UDP port of the same number, only with TLS. Alone, no TCP port is bound.
    pub h3: bool,
}

impl Protocols {
    /// Whether one of those is offered that run over TCP or a Unix socket.
    #[must_use]
    pub const fn over_streams(self) -> bool {
        self.h1 || self.h2
    }
}

/// What Alt-Svc (RFC 7838) tells clients of HTTP/1.1 and HTTP/2 about HTTP/3 on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AltSvc {
    /// The port that is bound.
    Auto,
    /// Nothing.
    Off,
    /// This port: what clients see in front of a port mapping.
    Port(u16),
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Certificates, picked by SNI; the first serves names that none covers. Never empty.
    pub certificates: Vec<Certificate>,
    /// PEM file of the authorities that must have signed the client's certificate.
    pub client_ca: Option<PathBuf>,
}

/// A certificate chain and its private key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where it stands in the file.
    pub at: At,
    /// Chain, leaf first.
    pub cert: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1 key.
    pub key: PathBuf,
}

/// Bounds on what clients may hold or send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open downstream connections, over all listeners and workers.
    pub connections: u32,
    /// Bytes of one request's head (request line and fields together).
    pub header_bytes: u32,
    /// Fields of one request's head.
    pub header_count: u32,
    /// Bytes of one request's body.
    pub body: u64,
    /// Concurrent HTTP/2 streams of one connection.
    pub h2_streams: u32,
    /// HTTP/2 flow-control window of one stream, in bytes.
    pub h2_stream_window: u32,
    /// HTTP/2 flow-control window of one connection, in bytes.
    pub h2_connection_window: u32,
    /// Concurrent HTTP/3 requests of one connection.
    pub h3_streams: u32,
    /// HTTP/3 flow-control window of one stream, in bytes.
    pub h3_stream_window: u32,
    /// HTTP/3 flow-control window of one connection, in bytes.
    pub h3_connection_window: u32,
    /// QUIC handshakes under way per worker above which a client must prove its address (Retry);
    /// 0 is always.
    pub h3_half_open: u32,
    /// Memory at which requests are turned away, low priority first.
    pub memory: MemoryLimit,
    /// Lag of a worker's event loop at which requests of low priority are turned away; those of
    /// normal priority at ten times as much. `None` is off.
    pub lag: Option<Duration>,
    /// Most keys that rate limits are counted for, over all limits and workers.
    pub rate_limit_keys: u32,
}

/// Time-outs of the downstream side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// TLS or QUIC handshake, PROXY header and protocol detection together.
    pub handshake: Duration,
    /// From the first byte of a request's head to its last.
    pub header_read: Duration,
    /// Between two pieces of a body, in either direction, while the client is the slow side.
    pub body_idle: Duration,
    /// Between two requests on one connection.
    pub keep_alive: Duration,
    /// How long a shutdown or a removed listener waits for requests under way.
    pub drain: Duration,
}

/// A named group of endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Where it stands in the file.
    pub at: At,
    /// Its name in the file.
    pub name: String,
    /// Empty exactly where `discovery` finds them; addresses are unique.
    pub endpoints: Vec<Endpoint>,
    /// Who tells the endpoints; `None` where the file does.
    pub discovery: Option<Discovery>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// By which key; there exactly where a key decides.
    pub hash: Option<HashBalance>,
    /// Version spoken to the endpoints.
    pub protocol: UpstreamProtocol,
    /// TLS towards the endpoints.
    pub tls: Option<ClientTls>,
    /// Active health checks.
    pub health: Option<HealthCheck>,
    /// Ejection of endpoints that keep failing; `None` is off.
    pub outlier: Option<Outlier>,
    /// A circuit breaker for each endpoint; `None` is off.
    pub breaker: Option<Breaker>,
    /// For how long the share of an endpoint that is back, or new, grows.
    pub slow_start: Option<Duration>,
    /// Bounds over all workers.
    pub limits: UpstreamLimits,
    /// From the name look-up to the end of the TLS handshake, or to the first HTTP/2 SETTINGS.
    pub connect_timeout: Duration,
}

impl Upstream {
    /// Whether its connections are plain byte streams, such as the tunnel of a CONNECT is made of.
    pub fn is_raw(&self) -> bool {
        self.tls.is_none() && self.protocol == UpstreamProtocol::H1
    }
}

/// One address that serves an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Where it stands in the file.
    pub at: At,
    /// Host and port, or a Unix socket.
    pub address: Address,
    /// Its identity where a key decides; `None` is the address. Unique in its upstream.
    pub name: Option<String>,
    /// Share of the traffic relative to its siblings; at least 1.
    pub weight: u32,
    /// Failure zone.
    pub zone: Option<String>,
}

/// Where an endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A literal address.
    Tcp(SocketAddr),
    /// A name that is looked up when a connection is opened.
    Name(String, u16),
    /// `unix:/path/to.sock`.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// HTTP version towards an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2; without TLS by prior knowledge.
    H2,
    /// HTTP/3; needs TLS, and endpoints that are no Unix sockets.
    H3,
    /// HTTP/2 where ALPN agrees on it, else HTTP/1.1; needs TLS.
    Auto,
}

/// TLS towards an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Where it stands in the file.
    pub at: At,
    /// Name sent as SNI and verified; `None` is the endpoint's own host.
    pub server_name: Option<String>,
    /// PEM file of the authorities trusted; `None` is the machine's.
    pub ca: Option<PathBuf>,
    /// Certificate presented to the upstream.
    pub client: Option<Certificate>,
    /// False only when `verify: false` is written.
    pub verify: bool,
}

/// Bounds of one upstream over all workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpstreamLimits {
    /// Open connections.
    pub connections: u32,
    /// Requests under way.
    pub requests: u32,
    /// Requests that wait for one of the two above.
    pub queue: u32,
    /// How long they wait.
    pub queue_timeout: Duration,
    /// Below `requests`, a bound that follows latency; `None` is off.
    pub adaptive: Option<Adaptive>,
}
