//! What is kept of responses, and for how long.

use std::{fmt, time::Duration};

use http::HeaderName;

use super::LuaValue;

/// The store that all routes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStore {
    /// Bytes that it may hold: bodies, fields and what keeps them together.
    pub memory: u64,
}

impl CacheStore {
    /// Bytes below which a store is not parted further.
    const SHARE: u64 = 8 << 20;
    /// Most parts: each has a lock of its own for those who fill it.
    const SHARES: u64 = 16;

    /// Into how many parts the store is divided.
    #[must_use]
    pub const fn shares(self) -> u64 {
        match self.memory / Self::SHARE {
            0 => 1,
            shares if shares > Self::SHARES => Self::SHARES,
            shares => shares,
        }
    }

    /// The most bytes that one response may take: half of a part, the rest being for others.
    #[must_use]
    pub const fn object_max(self) -> u64 {
        self.memory / self.shares() / 2
    }
}

/// What a route keeps. What a response says of itself comes before all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCache {
    /// How long a response is fresh that says nothing of it; `None` is not at all.
    pub ttl: Option<Duration>,
    /// Whether one that says nothing of it, but when it was last modified, is fresh for a tenth of
    /// its age.
    pub heuristics: bool,
    /// How long a stale response is served while a fresh one is fetched.
    pub stale_while_revalidate: Duration,
    /// How long a stale response is served in the place of an error.
    pub stale_if_error: Duration,
    /// Bytes of fields and body of the largest response that is kept.
    pub max_object: u64,
    /// Most variants (by `Vary`) of one URL.
    pub variants: u32,
    /// How long a request waits for another one's answer to the same question.
    pub lock_timeout: Duration,
    /// Whether clients may ask for fresher answers with `Cache-Control`.
    pub client_directives: bool,
    /// Whether responses that set a cookie are kept, and the cookie given to everybody.
    pub set_cookie: bool,
    /// What tells responses apart beside the URL without its query.
    pub key: CacheKey,
}

/// What tells a route's responses apart, beside scheme, host and path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheKey {
    /// The query, as it also goes upstream.
    pub query: QueryKey,
    /// Fields of requests with all their values.
    pub headers: Vec<HeaderName>,
    /// Cookies of requests with all their values.
    pub cookies: Vec<String>,
    /// What expressions make of a request.
    pub lua: Vec<LuaValue>,
}

/// What is kept of the queries of GET and HEAD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryKey {
    /// Which parameters.
    pub parameters: Parameters,
    /// Whether they are put in order, by name.
    pub sort: bool,
}

/// Which parameters of a query are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Parameters {
    /// Every one.
    #[default]
    All,
    /// Those with such names.
    Only(Vec<ParameterName>),
    /// Those with other names.
    Without(Vec<ParameterName>),
}

/// The name of a parameter, or what names begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterName {
    /// The name as it is once decoded, or its beginning.
    pub text: String,
    /// Whether it is a beginning.
    pub is_prefix: bool,
}

impl ParameterName {
    /// Whether a parameter of this name, decoded, is meant.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let text = self.text.as_bytes();
        if self.is_prefix { name.starts_with(text) } else { name == text }
    }
}

impl fmt::Display for ParameterName {
    /// As the file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}
