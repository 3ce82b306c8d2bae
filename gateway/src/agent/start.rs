//! How an agent begins: from what was asked for to a member that speaks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fastrand::Rng;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, sleep},
};
use weir_discovery::{
    announce::{Announcement, Kind, Offer},
    swim::Params,
    udp::{self, BindError},
};

use super::{
    Advertise, Failed, Settings, child::Child, instance, life::Agent, place, seeds::Seeds,
    told::Told,
};
use crate::{clock, task};

/// Between two look-ups of seeds none of which is found.
const AGAIN: Duration = Duration::from_secs(1);

/// Binds, begins to check, and runs the command.
pub(super) async fn start(mut settings: Settings, mut told: Told) -> Result<Agent, Failed> {
    let mut seeds = Seeds::new(std::mem::take(&mut settings.seeds));
    let mut found = tokio::select! {
        found = seeds.look_up() => found,
        () = told.stop() => return Err(Failed::Stopped),
    };
    // Where it is depends on who it speaks to, unless that was said.
    while settings.bind.is_none() && found.is_empty() {
        tokio::select! {
            again = async { sleep(AGAIN).await; seeds.look_up().await } => found = again,
            () = told.stop() => return Err(Failed::Stopped),
        }
    }
    let bind = bind(&settings, found.first().copied())?;
    let here = match settings.advertise {
        Some(Advertise::At(address)) => address.ip(),
        Some(Advertise::Ip(ip)) => ip,
        None => bind.ip(),
    };
    let offers = offers(&settings, here).await?;
    warn_of_loopback(&offers, &found);
    let announcement = Announcement { kind: Kind::Agent, offers };
    let meta = announcement.encode().map_err(|error| Failed::Wrong(error.to_string()))?;
    let first = &announcement.offers[0];
    let name = settings.name.take();
    let name = name.unwrap_or_else(|| place::name(&first.service, first.address.port()));
    let generation_ms = u64::try_from(clock::unix_time().as_millis()).unwrap_or(u64::MAX);
    let advertise = settings.advertise.map(|advertise| match advertise {
        Advertise::At(address) => address,
        Advertise::Ip(ip) => (ip, bind.port()).into(),
    });
    let bound = udp::bind(udp::Settings {
        name: name.clone(),
        generation_ms,
        bind,
        advertise,
        meta,
        seeds: found,
        secrets: std::mem::take(&mut settings.secrets),
        label: settings.label.clone(),
        params: Params::default(),
    });
    let (driver, handle) = bound.await.map_err(|error| unbound(error, bind, &name))?;
    let child = Child::start(&settings.command)?;
    let (tell, ended) = oneshot::channel();
    task::spawn(async move {
        // Whoever waits for it may be gone first.
        let _ = tell.send(driver.run().await);
    });
    let (turn, turns) = mpsc::channel(16);
    if let Some(check) = &settings.check {
        let mut rng = Rng::with_seed(generation_ms ^ u64::from(std::process::id()));
        for (service, offer) in announcement.offers.iter().enumerate() {
            let (check, turn) = (check.clone(), turn.clone());
            task::spawn(instance::watch(service, offer.address, check, turn, rng.fork()));
        }
    }
    tracing::info!(name, address = %handle.addr(), "the agent speaks");
    let linger = settings.linger;
    let (look, asked) = mpsc::channel(1);
    task::spawn(seeds.follow(asked, handle.clone()));
    // Kept, so that the channel stays open where nothing is checked.
    Ok(Agent { announcement, name, handle, ended, turns, _turn: turn, look, child, told, linger })
}

/// Where it listens: the address from which it reaches the first seed, unless that was said.
fn bind(settings: &Settings, seed: Option<SocketAddr>) -> Result<SocketAddr, Failed> {
    let bind = match (settings.bind, seed) {
        (Some(bind), _) => bind,
        (None, Some(seed)) => {
            let ip = place::towards(seed).map_err(|error| {
                Failed::Start(format!("no way to the seed {seed}: {error}; say --bind IP:PORT"))
            })?;
            (ip, 0).into()
        }
        (None, None) => (Ipv4Addr::LOCALHOST, 0).into(),
    };
    match settings.advertise {
        None if bind.ip().is_unspecified() => Err(Failed::Wrong(format!(
            "--bind {bind} is every address of the machine: say with --advertise IP which of them \
             the others reach"
        ))),
        Some(Advertise::Ip(ip)) if bind.port() == 0 => Err(Failed::Wrong(format!(
            "--advertise {ip} has no port, and --bind leaves its own open: say one of them"
        ))),
        _ => Ok(bind),
    }
}

async fn offers(settings: &Settings, here: IpAddr) -> Result<Vec<Offer>, Failed> {
    let mut offers = Vec::new();
    for service in &settings.services {
        let address = service.address.resolve(here).await.map_err(|error| {
            let (name, place) = (&service.name, &service.address);
            Failed::Start(format!("the address of `{name}`, {place:?}, is not found: {error}"))
        })?;
        if address.ip().is_unspecified() {
            return Err(Failed::Wrong(format!(
                "{address} is every address of the machine: say the one at which gateways reach \
                 `{}`, or `:{}` for the agent's own",
                service.name,
                address.port()
            )));
        }
        let (service, weight) = (service.name.as_str().into(), service.weight);
        // Nobody has asked it yet; without checks there is nothing to wait for.
        let ready = settings.check.is_none();
        offers.push(Offer { service, address, weight, ready });
    }
    Ok(offers)
}

fn warn_of_loopback(offers: &[Offer], seeds: &[SocketAddr]) {
    if seeds.iter().all(|seed| seed.ip().is_loopback()) {
        return;
    }
    for Offer { service, address, .. } in offers.iter().filter(|o| o.address.ip().is_loopback()) {
        tracing::warn!(
            %service, %address,
            "announced at loopback to members off this machine, who will not reach it"
        );
    }
}

fn unbound(error: BindError, bind: SocketAddr, name: &str) -> Failed {
    match error {
        BindError::NoSecret => Failed::Wrong(format!(
            "off loopback ({bind}) a membership needs a secret: give all members the same with \
             --secret-file FILE or WEIR_GOSSIP_SECRET, such as `openssl rand -hex 32` makes"
        )),
        BindError::Keys(error) => Failed::Wrong(format!("the secret or the label: {error}")),
        BindError::Socket(error) => {
            Failed::Start(format!("cannot bind {bind}: {error}; say another with --bind IP:PORT"))
        }
        BindError::Record => Failed::Wrong(format!("`{name}` is too long or empty for a name")),
        BindError::Params(error) => Failed::Start(error.to_string()),
    }
}
