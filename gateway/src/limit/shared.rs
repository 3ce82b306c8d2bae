//! Limits that gateways hold together: the servers they are kept on, and the way there.
//!
//! Everything else about a limit is decided before and after; only [`ask`] and [`settle`] touch the
//! network. Neither ever fails: what a server does not say, each limit's policy does.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use smallvec::SmallVec;
use weir_config::model::Redis;
use weir_ratelimit::{
    Local, Secret,
    redis::{Correction, InvalidServer, Options, Topology},
};

pub(crate) use weir_ratelimit::redis::{
    Counters, Mode, OnFailure, Outcome, Servers, Shared, SharedAsk, SharedLimit, Source,
};

use super::{RouteLimits, route::Rest, store, verdict::Limited};
use crate::{
    clock, task,
    worker::{Worker, World},
};

/// What keys are hashed with where the file has no secret: the same in every gateway.
const OPEN: &str = "weir";

/// The servers of a configuration; they outlive it while the next has the same.
#[derive(Debug, Clone)]
pub struct SharedStore {
    servers: Arc<Servers>,
    config: Redis,
}

impl SharedStore {
    /// The servers of `config`, with how they fare if `before` has the same.
    ///
    /// # Errors
    /// [`InvalidServer`] if one cannot be used.
    pub fn new(config: &Redis, before: Option<&Self>) -> Result<Self, InvalidServer> {
        let options = options(config);
        let same = before.filter(|before| equal(&self::options(&before.config), &options));
        let servers = match same {
            Some(before) => before.servers.clone(),
            None => Arc::new(Servers::new(options)?),
        };
        Ok(Self { servers, config: config.clone() })
    }

    /// The servers, as all workers see them.
    pub const fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// What makes the keys of those who share them.
    pub fn secret(config: Option<&Redis>) -> Secret {
        let secret = config.and_then(|config| config.secret.as_ref());
        Secret::derive(secret.map_or(OPEN, |secret| &secret.0))
    }

    /// The way to them for one worker: that of `before`, if it leads there.
    pub(crate) fn of_worker(
        &self,
        before: Option<&Rc<WorkerStore>>,
        fallback: &Arc<Local>,
        alive: &Arc<AtomicU32>,
        rng: &mut fastrand::Rng,
    ) -> Rc<WorkerStore> {
        let same = before.filter(|before| Arc::ptr_eq(&before.servers, &self.servers));
        let way = same.map(|before| before.way.clone());
        let way = way.unwrap_or_else(|| {
            Rc::new(Shared::new(self.servers.clone(), fallback.clone(), rng.fork()))
        });
        let (servers, alive) = (self.servers.clone(), alive.clone());
        Rc::new(WorkerStore { way, servers, configured: self.config.gateways, alive })
    }
}

/// One worker's way to the servers.
#[derive(Debug)]
pub(crate) struct WorkerStore {
    way: Rc<Shared>,
    servers: Arc<Servers>,
    /// How many gateways there are, as the file has it.
    configured: u32,
    /// How many live, as the membership has it; 0 where it does not know, or there is none.
    alive: Arc<AtomicU32>,
}

/// How often tokens that nobody asks for are looked for.
const LOOK_FOR_IDLE: Duration = Duration::from_millis(250);

impl WorkerStore {
    /// How many gateways share the servers now, this one among them.
    pub(crate) fn gateways(&self) -> u32 {
        match self.alive.load(Relaxed) {
            0 => self.configured,
            alive => alive,
        }
    }

    /// Gives back what was fetched ahead, all of it: nobody comes by this way any more.
    pub(crate) async fn leave(&self) {
        self.way.give_back_all(store::moment(clock::now())).await;
    }

    /// Whether it is the way to the same servers.
    pub(crate) fn is_way_of(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.way, &other.way)
    }
}

/// Gives back what was fetched ahead and is not asked for, for ever.
pub(crate) async fn tidy(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(LOOK_FOR_IDLE).await;
        let shared = worker.world().shared.clone();
        if let Some(store) = shared {
            store.way.give_back_idle(store::moment(clock::now())).await;
        }
    }
}

/// What the servers say of a request whose limits there are still to be asked.
pub(super) async fn ask(world: &World, limits: &RouteLimits, limited: &Limited) -> Option<Outcome> {
    let store = world.shared.as_ref()?;
    let asks: SmallVec<[SharedAsk<'_>; 4]> = limits.open(limited).collect();
    Some(store.way.check(&asks, store.gateways(), limited.at).await)
}

/// Puts charges right, without anybody waiting for it. A server that is gone is not told.
pub(super) fn settle(world: &Rc<World>, route: usize, rest: Rest, source: Source) {
    let world = world.clone();
    task::spawn(async move {
        let limits = world.snapshot.routes.get(route).and_then(|route| route.limits.as_ref());
        let (Some(limits), Some(store)) = (limits, &world.shared) else { return };
        let corrections = rest.iter().filter_map(|due| {
            let limit = limits.rules.get(due.rule)?.shared.as_ref()?;
            Some(Correction { limit, key: due.key, charged: due.charged, actual: due.actual })
        });
        let corrections: SmallVec<[Correction<'_>; 2]> = corrections.collect();
        let now = store::moment(clock::now());
        store.way.settle(&corrections, source, store.gateways(), now).await;
    });
}

fn options(config: &Redis) -> Options {
    let urls = config.urls.iter();
    let urls = urls.map(|url| match (&config.password, url.has_credentials()) {
        (Some(password), false) => {
            with_credentials(&url.0, config.username.as_deref().unwrap_or_default(), &password.0)
        }
        _ => url.0.clone(),
    });
    Options {
        urls: urls.collect(),
        topology: if config.cluster { Topology::Cluster } else { Topology::Sharded },
        timeout: config.timeout,
        connections: config.connections as usize,
        ..Options::default()
    }
}

fn equal(one: &Options, other: &Options) -> bool {
    one.urls == other.urls
        && one.topology == other.topology
        && one.timeout == other.timeout
        && one.connections == other.connections
        && one.remembered == other.remembered
}

/// The address with who we are in it.
fn with_credentials(url: &str, user: &str, password: &str) -> String {
    let (user, password) = (escaped(user), escaped(password));
    match url.split_once("://") {
        Some((scheme, path)) if scheme.contains("unix") => {
            let separator = if path.contains('?') { '&' } else { '?' };
            let user = if user.is_empty() { user } else { format!("user={user}&") };
            format!("{scheme}://{path}{separator}{user}pass={password}")
        }
        Some((scheme, address)) => format!("{scheme}://{user}:{password}@{address}"),
        None => url.to_owned(),
    }
}

/// A text as a part of a URL (RFC 3986 section 2.1).
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_is_put_into_the_address() {
        let of = |url, user| with_credentials(url, user, "p@s:s/w");
        assert_eq!(of("redis://a:1/2", ""), "redis://:p%40s%3As%2Fw@a:1/2");
        assert_eq!(of("rediss://[::1]", "u"), "rediss://u:p%40s%3As%2Fw@[::1]");
        assert_eq!(of("unix:///r.sock?db=1", "u"), "unix:///r.sock?db=1&user=u&pass=p%40s%3As%2Fw");
        assert_eq!(of("unix:///r.sock", ""), "unix:///r.sock?pass=p%40s%3As%2Fw");
    }
}
