//! How often a route may be used, and by whom.

use std::{fmt, time::Duration};

use http::HeaderName;

use super::{At, LuaValue};

/// A bound on how often something happens.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    /// Where it stands in the file.
    pub at: At,
    /// Name in fields, logs and metrics; `default` when the file gives none. Unique on its route.
    pub name: String,
    /// Whether it is one of `rate_limits`, which all routes that name it share; else its route has
    /// it for itself.
    pub shared: bool,
    /// What a count is kept of: one for each tuple of these; never empty.
    pub key: Vec<KeyPart>,
    /// What happens where the request lacks a part of the key.
    pub absent: AbsentKey,
    /// So much (of cost) in [`Self::per`]; 0 admits nothing.
    pub count: u64,
    /// Over which time.
    pub per: Duration,
    /// How much may come at once; for a leaky bucket how much may wait.
    pub burst: u64,
    /// How it is counted.
    pub algorithm: RateAlgorithm,
    /// Longest delay of a leaky bucket; what would wait longer is denied.
    pub max_delay: Duration,
    /// What a request costs.
    pub cost: Cost,
    /// Counts and tells, but denies nothing.
    pub dry_run: bool,
    /// Where counts are kept.
    pub store: RateStore,
}

/// Where the counts of a limit are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateStore {
    /// By this gateway.
    #[default]
    Local,
    /// On the servers of [`Redis`](super::Redis), which there are then.
    Redis {
        /// How they are kept in step.
        mode: StoreMode,
        /// What holds while the servers cannot be reached.
        on_failure: OnStoreFailure,
    },
}

/// How counts are kept in step with a store elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreMode {
    /// Each request is decided there.
    #[default]
    Exact,
    /// Tokens are fetched ahead, for many requests.
    Leased,
}

/// What holds while a store elsewhere cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStoreFailure {
    /// This gateway's share of the rate.
    #[default]
    Local,
    /// Everything passes.
    Allow,
    /// Nothing passes.
    Deny,
}

/// How a rate is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateAlgorithm {
    /// Admits bursts, then the rate.
    TokenBucket,
    /// Delays what comes too fast, up to a bound.
    LeakyBucket,
    /// Admits at most the count in any stretch of the time.
    SlidingWindow,
}

/// Part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The client's address; of an IPv6 address the first 64 bits.
    ClientIp,
    /// Value of a request header.
    Header(HeaderName),
    /// Value of a cookie.
    Cookie(String),
    /// Value of a query parameter.
    Query(String),
    /// Path as routes see it.
    Path,
    /// The route; of use for limits that several share.
    Route,
    /// Who the client is, by the route's `auth`.
    Identity,
    /// What its credential says of it, by the name of a claim.
    Claim(String),
    /// What an expression in Lua makes of the request.
    Lua(LuaValue),
}

impl KeyPart {
    /// Whether only a client that has said who it is has one.
    #[must_use]
    pub const fn is_of_identity(&self) -> bool {
        matches!(self, Self::Identity | Self::Claim(_))
    }
}

impl fmt::Display for KeyPart {
    /// As the file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Path => f.write_str("path"),
            Self::Route => f.write_str("route"),
            Self::Identity => f.write_str("identity"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Lua(value) => write!(f, "lua:{}", value.text),
        }
    }
}

/// What happens where a request lacks a part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AbsentKey {
    /// All such requests share a count.
    #[default]
    Share,
    /// The limit does not concern them.
    Skip,
    /// They are denied.
    Deny,
}

/// What a request costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// When nothing else says so; 0 is nothing.
    pub fixed: u64,
    /// A request header that may name it, a whole number, at most the burst.
    pub request_header: Option<HeaderName>,
    /// A response header that names what it did cost: the difference is charged or given back.
    pub response_header: Option<HeaderName>,
    /// A number in the response's JSON that does, by the names of the objects it lies in and its
    /// own; never empty. There is no [`Self::response_header`] then.
    pub response_json: Option<Vec<String>>,
}

/// How many requests of a route may be under way, over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// Most of them at a time, for each key; at least 1.
    pub max: u32,
    /// Whose requests are counted together; empty is those of the route as a whole, of this gateway
    /// alone.
    pub key: Vec<KeyPart>,
    /// What happens where the request lacks a part of the key.
    pub absent: AbsentKey,
    /// Where they are counted.
    pub store: PlaceStore,
}

/// Where requests under way are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlaceStore {
    /// By this gateway.
    #[default]
    Local,
    /// On the servers of [`Redis`](super::Redis), which there are then, for all gateways.
    Redis {
        /// How long one counts whose gateway says nothing of it any more.
        lease: Duration,
        /// What holds while the servers cannot be reached.
        on_failure: OnStoreFailure,
    },
}
