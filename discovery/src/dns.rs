//! DNS as a source: the addresses of a name, or the targets of its SRV records.
//!
//! A name that has no such records is an answer: nobody serves. A name that does not exist is none,
//! like a server that fails: a zone that is being moved, or a resolver that is being set up, says
//! that for a while.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use hickory_resolver::{
    TokioResolver,
    config::{
        ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
    },
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{RData, RecordType, rdata::SRV},
    },
};

use crate::view::{SERVING_MAX, Serving, TTL};

#[cfg(test)]
mod tests;

/// How often each server is asked before a look-up has failed.
const ATTEMPTS: usize = 2;
/// Most look-ups of one question: names are tried with each suffix of the search list.
const PATIENCE: u32 = 16;
/// Targets of SRV records that are looked up at a time.
const AT_ONCE: usize = 16;
/// Most targets of one name; of more those of the least names are taken.
const TARGETS_MAX: usize = 1_000;
/// Greatest weight of an endpoint.
const WEIGHT_MAX: u32 = 1_000;

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// These servers; when there are none, those of the machine, by its search list and its hosts.
    pub servers: Vec<SocketAddr>,
    /// How long one of them may take to answer.
    pub timeout: Duration,
}

/// Who serves, and for how long that holds.
pub type Told = (Vec<Serving>, Duration);

/// Why nothing was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

/// Asks DNS servers. It keeps nothing of what they said.
pub struct Resolver {
    settings: Settings,
    /// Made when it is needed, and made anew after a failure: the machine may have other servers.
    inner: Mutex<Option<TokioResolver>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Resolver {
    /// Nobody is asked yet.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, inner: Mutex::new(None) }
    }

    /// Who it asks.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The IPv4 addresses of a name, or its IPv6 addresses if it has no others: a host that has
    /// both is not there twice. Each is one who serves, at that port, and its own name.
    ///
    /// # Errors
    /// Why the servers did not say.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Told, NoAnswer> {
        let (addresses, ttl) = self.ask(self.all_addresses(host)).await?;
        let serving = addresses.into_iter().map(|ip| {
            let address: Box<str> = SocketAddr::new(ip, port).to_string().into();
            Serving { name: address.clone(), address, weight: 1, zone: None }
        });
        Ok((serving.take(SERVING_MAX).collect(), ttl))
    }

    /// The targets of the SRV records of a name that have the lowest priority, with their weights
    /// (RFC 2782). Each is one who serves under the name `target:port`, at the least of its
    /// addresses; one that has none does not serve.
    ///
    /// # Errors
    /// Why the servers did not say: of the name, or of one of its targets.
    pub async fn services(&self, name: &str) -> Result<Told, NoAnswer> {
        self.ask(self.all_services(name)).await
    }

    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        let patience = self.settings.timeout.saturating_mul(PATIENCE);
        let late = |_| Err(NoAnswer("no server has answered in time".to_owned()));
        let answer = tokio::time::timeout(patience, question).await.unwrap_or_else(late);
        if answer.is_err() {
            *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }

    async fn all_addresses(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), NoAnswer> {
        let (answer, ttl) = self.records(host, RecordType::A).await?;
        let (answer, ttl) = match answer.is_empty() {
            false => (answer, ttl),
            true => self.records(host, RecordType::AAAA).await?,
        };
        let addresses = answer.iter().filter_map(RData::ip_addr);
        let mut addresses: Vec<IpAddr> = addresses.collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok((addresses, ttl))
    }

    async fn all_services(&self, name: &str) -> Result<Told, NoAnswer> {
        let (answer, mut ttl) = self.records(name, RecordType::SRV).await?;
        let records = answer.iter().filter_map(|data| match data {
            RData::SRV(record) => Some(record),
            _ => None,
        });
        let targets = targets(records);
        let look_up = |target: Target| async {
            let found = self.all_addresses(&target.host).await;
            found.map(|found| (target, found))
        };
        let mut found = stream::iter(targets).map(look_up).buffer_unordered(AT_ONCE);
        let mut serving = Vec::new();
        while let Some(one) = found.next().await {
            let (target, (addresses, lives)) = one?;
            ttl = ttl.min(lives);
            serving.extend(addresses.first().map(|ip| Serving {
                name: format!("{}:{}", target.host.trim_end_matches('.'), target.port).into(),
                address: SocketAddr::new(*ip, target.port).to_string().into(),
                weight: target.weight,
                zone: None,
            }));
        }
        Ok((serving, ttl))
    }

    /// The records of a name, and for how long they hold; none when it has none of this type.
    async fn records(
        &self,
        name: &str,
        of: RecordType,
    ) -> Result<(Vec<RData>, Duration), NoAnswer> {
        let resolver = self.resolver().map_err(|error| NoAnswer(format!("{name}: {error}")))?;
        match resolver.lookup(name, of).await {
            Ok(found) => Ok(told(&found, of)),
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if none.response_code == ResponseCode::NoError =>
            {
                let ttl = none.negative_ttl.map_or(TTL.0, |s| Duration::from_secs(s.into()));
                Ok((Vec::new(), ttl))
            }
            Err(error) => Err(NoAnswer(format!("{name}: {}", why(&error)))),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resolver) = &*inner {
            return Ok(resolver.clone());
        }
        let provider = TokioRuntimeProvider::default();
        let mut builder = if self.settings.servers.is_empty() {
            TokioResolver::builder(provider)?
        } else {
            let servers = self.settings.servers.iter().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            let mut builder = TokioResolver::builder_with_config(config, provider);
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        };
        let options = builder.options_mut();
        options.timeout = self.settings.timeout;
        options.attempts = ATTEMPTS;
        // Time to live is heeded by whoever asks: what was kept here would only be older.
        options.cache_size = 0;
        // The first one written is asked first.
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        options.num_concurrent_reqs = 1;
        let resolver = builder.build()?;
        *inner = Some(resolver.clone());
        Ok(resolver)
    }
}

/// One who stands in an SRV record.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    host: String,
    port: u16,
    weight: u32,
}

/// Those of the lowest priority; of several records of one target and port the first counts.
fn targets<'a>(records: impl Iterator<Item = &'a SRV> + Clone) -> Vec<Target> {
    let Some(priority) = records.clone().map(|record| record.priority).min() else {
        return Vec::new();
    };
    // "." says that the service is decidedly not available (RFC 2782).
    let there = |record: &&SRV| record.priority == priority && !record.target.is_root();
    let target = |record: &SRV| Target {
        host: record.target.to_lowercase().to_ascii(),
        port: record.port,
        weight: record.weight.into(),
    };
    let mut targets: Vec<Target> =
        records.filter(there).map(target).filter(|target| target.port != 0).collect();
    targets.sort_unstable();
    targets.dedup_by(|later, earlier| (&later.host, later.port) == (&earlier.host, earlier.port));
    targets.truncate(TARGETS_MAX);
    scale(&mut targets);
    targets
}

/// Weights in their least terms, from 1 to [`WEIGHT_MAX`]; a weight of 0 is very little beside
/// others (RFC 2782).
fn scale(targets: &mut [Target]) {
    let most = targets.iter().map(|target| target.weight).max().unwrap_or(0);
    let mut common = 0;
    for target in &mut *targets {
        if most > WEIGHT_MAX {
            // At most 65535 times 1000.
            target.weight = (target.weight * WEIGHT_MAX + most / 2) / most;
        }
        target.weight = target.weight.max(1);
        common = divisor(common, target.weight);
    }
    targets.iter_mut().for_each(|target| target.weight /= common.max(1));
}

/// The greatest common divisor.
fn divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The data of a type, and the least time to live of all records that led there.
fn told(found: &Lookup, of: RecordType) -> (Vec<RData>, Duration) {
    let ttl = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    let data = found.answers().iter().filter(|record| record.record_type() == of);
    (data.map(|record| record.data.clone()).collect(), Duration::from_secs(ttl.into()))
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = address.port());
    NameServerConfig::new(address.ip(), true, connections)
}

/// An error in a few words.
fn why(error: &NetError) -> String {
    match error {
        NetError::Timeout => "no server has answered in time".to_owned(),
        NetError::NoConnections => "no server can be reached".to_owned(),
        error if error.is_nx_domain() => "the name does not exist".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the server says: {code}"),
        error => error.to_string(),
    }
}
