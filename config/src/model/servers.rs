//! Servers that gateways share.

use std::{fmt, time::Duration};

use super::{At, Secret};

/// Where the store is that gateways share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it stands in the file.
    pub at: At,
    /// The servers; never empty, and none of them twice. Of a cluster, some of its nodes.
    pub urls: Vec<RedisUrl>,
    /// Whether they are a Redis Cluster; else keys are spread over them.
    pub cluster: bool,
    /// User, where a URL names none.
    pub username: Option<String>,
    /// Password, where a URL has none.
    pub password: Option<Secret>,
    /// How long a request waits for a server.
    pub timeout: Duration,
    /// Connections to each server, for each worker; at least 1.
    pub connections: u32,
    /// How many gateways share the servers; at least 1.
    pub gateways: u32,
    /// What keys are hashed with; the same in every gateway.
    pub secret: Option<Secret>,
}

/// The address of a server as it is written, perhaps with a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(pub String);

impl RedisUrl {
    /// Whether it names a user or has a password.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut pairs = query.split('&');
        let named = pairs.any(|pair| pair.starts_with("user=") || pair.starts_with("pass="));
        named || !scheme.contains("unix") && address.contains('@')
    }

    /// The address with `***` for what is secret in it.
    #[must_use]
    pub fn shown(&self) -> String {
        if !self.has_credentials() {
            return self.0.clone();
        }
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (address, query) = rest.split_once('?').map_or((rest, ""), |(a, _)| (a, "?***"));
        match address.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://***@{host}{query}"),
            None => format!("{scheme}://{address}{query}"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}
