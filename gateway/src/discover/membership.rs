//! This gateway's part in the membership: it starts with the gateway, follows the file, and leaves
//! before the gateway stops.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::lookup_host, task::JoinHandle, time::timeout};
use weir_config::{
    Diagnostic, Loaded,
    model::{self, Address},
};
use weir_discovery::{
    announce::{Announcement, Kind},
    swim::Params,
    udp::{self, BindError, Driver, Ended, Handle, Settings},
};

use super::{roll::Standing, watch::watch};
use crate::{clock, snapshot::live::Live, task};

/// How long the others are told of a departure at most.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often names of seeds are looked up.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How soon again when one of them was not found.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(5);
/// How long one look-up takes at most.
const LOOK_UP_TIME: Duration = Duration::from_secs(5);
/// Most addresses taken of one name: a headless service has one for each instance.
const ADDRESSES_MAX: usize = 64;

/// A running member.
#[derive(Debug)]
pub(crate) struct Membership {
    handle: Handle,
    config: model::Membership,
    driver: JoinHandle<()>,
    seeds: Option<Aborted>,
}

/// What a reload is about to do to the membership.
#[derive(Debug)]
pub(crate) enum Next {
    /// It stays off, or ends.
    Off,
    /// It goes on, with these settings.
    Adjust(model::Membership),
    /// It begins.
    Start(Box<Bound>),
}

/// A member with its sockets that does not speak yet.
#[derive(Debug)]
pub(crate) struct Bound {
    driver: Driver,
    handle: Handle,
    name: String,
    generation_ms: u64,
    config: model::Membership,
}

/// A task that ends with whoever holds it.
#[derive(Debug)]
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What `loaded` makes of the membership that runs. Everything that can fail does so here.
///
/// # Errors
/// An address that cannot be listened on, and changes that only a restart can make.
pub(crate) async fn prepare(
    running: Option<&Membership>,
    loaded: &Loaded,
) -> Result<Next, Diagnostic> {
    let Some(config) = &loaded.config.membership else { return Ok(Next::Off) };
    let Some(running) = running else { return bind(config, loaded).await };
    let before = &running.config;
    if running.driver.is_finished() {
        // Another process had the name: a file that is the same would only fight for it.
        return match before == config {
            true => Ok(Next::Adjust(config.clone())),
            false => bind(config, loaded).await,
        };
    }
    let fixed = [
        ("bind", before.bind != config.bind),
        ("advertise", before.advertise != config.advertise),
        ("name", before.name != config.name),
        ("label", before.label != config.label),
    ];
    if let Some((key, _)) = fixed.iter().find(|(_, changed)| *changed) {
        let what = format!("a changed `membership.{key}` takes effect at the next start only");
        return Err(loaded.error(config.at, what));
    }
    if before.secrets.is_empty() != config.secrets.is_empty() {
        let what = "whether members share a secret is settled at the start: this takes a restart";
        return Err(loaded.error(config.at, what));
    }
    Ok(Next::Adjust(config.clone()))
}

/// Opens the sockets.
async fn bind(config: &model::Membership, loaded: &Loaded) -> Result<Next, Diagnostic> {
    let wrong = |what: String| loaded.error(config.at, what);
    let name = match &config.name {
        Some(name) => name.clone(),
        None => default_name(config.bind.port()).map_err(|what| wrong(what.to_owned()))?,
    };
    let (known, names) = known(&config.seeds);
    // While there are names to look up it must not take itself for the first one of all.
    let seeds = if names { [known, vec![config.bind]].concat() } else { known };
    let meta = Announcement { kind: Kind::Gateway, offers: Vec::new() }.encode();
    let generation_ms = u64::try_from(clock::unix_time().as_millis()).unwrap_or(u64::MAX);
    let settings = Settings {
        name: name.clone(),
        generation_ms,
        bind: config.bind,
        advertise: config.advertise,
        meta: meta.map_err(|invalid| wrong(invalid.to_string()))?,
        seeds,
        secrets: secrets(config),
        label: config.label.clone(),
        params: Params::default(),
    };
    let (driver, handle) = udp::bind(settings).await.map_err(|error| match error {
        BindError::Socket(error) => {
            wrong(format!("membership: cannot listen on {}: {error}", config.bind))
        }
        other => wrong(format!("membership: {other}")),
    })?;
    Ok(Next::Start(Box::new(Bound { driver, handle, name, generation_ms, config: config.clone() })))
}

impl Bound {
    /// Begins to speak.
    pub(crate) fn start(self, live: &Arc<Live>) -> Membership {
        let Self { driver, handle, name, generation_ms, config } = self;
        tracing::info!(name, address = %handle.addr(), "taking part in the membership");
        let sealed = !config.secrets.is_empty();
        let standing =
            Standing::new(name, config.label.clone(), generation_ms, sealed, handle.clone());
        let standing = Arc::new(standing);
        live.roll.begin(standing.clone());
        drop(task::spawn(watch(standing.clone(), live.clone(), !config.seeds.is_empty())));
        let roll = live.roll.clone();
        let driver = task::spawn(async move {
            match driver.run().await {
                Ended::Left | Ended::Dropped => {}
                Ended::Superseded => {
                    roll.superseded();
                    tracing::error!(
                        name = standing.name,
                        "another live process goes by this gateway's name: this one takes no part \
                         in the membership any more, and serves on"
                    );
                }
            }
        });
        let mut membership = Membership { handle, config, driver, seeds: None };
        membership.look_up();
        membership
    }
}

impl Membership {
    /// What it believes, and the way to ask it: for sources of endpoints.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Follows the file, in what [`prepare`] found good.
    pub(crate) async fn adjust(&mut self, config: model::Membership) {
        if self.config.secrets != config.secrets
            && let Err(error) = self.handle.rekey(secrets(&config)).await
        {
            tracing::error!(%error, "the secrets of the membership stay as they were");
        }
        let moved = self.config.seeds != config.seeds;
        self.config = config;
        if moved {
            self.handle.set_seeds(known(&self.config.seeds).0).await;
            self.look_up();
        }
    }

    /// Looks up the names of seeds, now and then again, if there are any.
    fn look_up(&mut self) {
        self.seeds = known(&self.config.seeds).1.then(|| {
            let (handle, seeds) = (self.handle.clone(), self.config.seeds.clone());
            Aborted(task::spawn(follow(handle, seeds)))
        });
    }

    /// Tells the others that it goes, and waits until they were told, for a bounded time. Its
    /// sockets are closed then.
    pub(crate) async fn leave(mut self) {
        if self.driver.is_finished() {
            return;
        }
        if self.handle.view().live > 1 {
            self.handle.leave().await;
            if timeout(FAREWELL, &mut self.driver).await.is_ok() {
                return;
            }
            tracing::warn!("not all members were told that this one goes");
        }
        self.driver.abort();
        // It ends with the next turn of its thread.
        let _ = self.driver.await;
    }
}

/// Keeps a member's seeds at what their names say. What is not found stays what it was.
async fn follow(handle: Handle, seeds: Vec<Address>) {
    let mut found: Vec<Vec<SocketAddr>> = vec![Vec::new(); seeds.len()];
    let mut told = Vec::new();
    let mut failing = false;
    loop {
        let mut failed = None;
        for (seed, found) in seeds.iter().zip(&mut found) {
            match resolve(seed).await {
                Ok(addresses) => *found = addresses,
                Err(error) => failed = Some((seed, error)),
            }
        }
        match &failed {
            Some((seed, error)) if !failing => {
                tracing::warn!(%seed, %error, "a seed of the membership is not found");
            }
            _ => {}
        }
        failing = failed.is_some();
        let all = found.concat();
        if all != told && !all.is_empty() {
            handle.set_seeds(all.clone()).await;
            told = all;
        }
        tokio::time::sleep(if failing { LOOK_UP_AGAIN } else { LOOK_UP }).await;
    }
}

/// The addresses of a seed.
async fn resolve(seed: &Address) -> std::io::Result<Vec<SocketAddr>> {
    let (host, port) = match seed {
        Address::Tcp(address) => return Ok(vec![*address]),
        Address::Name(host, port) => (host.as_str(), *port),
        Address::Unix(_) => return Ok(Vec::new()),
    };
    let addresses = timeout(LOOK_UP_TIME, lookup_host((host, port))).await??;
    Ok(addresses.take(ADDRESSES_MAX).collect())
}

/// The seeds that need no look-up, and whether there are others.
fn known(seeds: &[Address]) -> (Vec<SocketAddr>, bool) {
    let address = |seed: &Address| match seed {
        Address::Tcp(address) => Some(*address),
        Address::Name(..) | Address::Unix(_) => None,
    };
    let known: Vec<SocketAddr> = seeds.iter().filter_map(address).collect();
    let names = known.len() < seeds.len();
    (known, names)
}

fn secrets(config: &model::Membership) -> Vec<Vec<u8>> {
    config.secrets.iter().map(|secret| secret.0.clone().into_bytes()).collect()
}

/// A name that stays over restarts: the machine's, and the port.
///
/// # Errors
/// The machine has none, or one that others are likely to have as well.
fn default_name(port: u16) -> Result<String, &'static str> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" | "localhost" | "localhost.localdomain" | "(none)" => {
            Err("this machine has no name of its own: write `membership.name`")
        }
        _ if port == 0 => Err("`membership.bind` leaves its port open: write `membership.name`"),
        host => Ok(format!("{host}:{port}")),
    }
}
