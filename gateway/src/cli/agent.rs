//! `weir agent`: flags to settings.

use std::{
    ffi::OsString,
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use weir_config::{
    model::{HealthCheck, Level, Probe, StatusRange, UpstreamProtocol},
    units,
};
use weir_discovery::announce::{Announcement, InvalidAnnouncement, Kind, Offer};

use super::wrong;
use crate::agent::{self, Advertise, Check, Place, Service, Settings};

/// Where a secret is taken from if no flag names one.
const VARIABLE: &str = "WEIR_GOSSIP_SECRET";
/// Fewest bytes of a secret.
const SECRET_MIN: usize = 16;

const AFTER: &str = "\
Examples:
  weir agent --service api --address 127.0.0.1:9001 --seed 127.0.0.1:7946
  weir agent --service api=:9001 --check-path /healthz --seed gossip.internal:7946 -- ./api

While it runs it is a member: gateways with `discovery: { members: api }` send requests to the
address. On SIGTERM or SIGINT it says that the instance takes no more requests, waits for --linger,
then leaves; a command gets the signal in between. A second signal ends all at once.

Exit codes:
  0  stopped by a signal
  1  cannot start, such as an address in use
  2  the command line is wrong, or a secret is missing off loopback
  3  another live process has its name
  With a command: the command's own, 128 more than the signal that ended it, 127 if there is no
  such program, 126 if it cannot be run";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct Arguments {
    /// A service that runs here: its name, followed by --address, or both at once as
    /// `NAME=ADDRESS`; up to 16
    #[arg(long, required = true, value_name = "NAME")]
    service: Vec<String>,
    /// Where its instance listens, as gateways reach it: `IP:PORT`, `HOST:PORT`, or `:PORT` of the
    /// agent's own address; one for each --service, in order
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Share of requests relative to other instances: one for all, or one for each --service
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    weight: Vec<u16>,
    /// A member to join through, `HOST:PORT`; may be repeated
    #[arg(long, required = true, value_name = "ADDRESS")]
    seed: Vec<String>,
    /// What this member is called, unlike all others and the same after a restart; by default after
    /// the machine, the first service and its port, such as `web-1:api:9001`
    #[arg(long)]
    name: Option<String>,
    /// Where to speak, UDP and TCP; by default any port of the address that reaches the first seed
    #[arg(long, value_name = "IP:PORT")]
    bind: Option<SocketAddr>,
    /// Where others reach it, if not at --bind
    #[arg(long, value_name = "IP[:PORT]", value_parser = advertise)]
    advertise: Option<Advertise>,
    /// What all members share, of 16 bytes or more; needed off loopback. The first seals, all open.
    /// By default $WEIR_GOSSIP_SECRET. Other users of the machine can read it: prefer --secret-file
    #[arg(long)]
    secret: Vec<String>,
    /// The same from a file; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    secret_file: Vec<PathBuf>,
    /// What the membership is called
    #[arg(long, default_value = "weir")]
    label: String,
    /// How to find out whether an instance is well: `tcp` connects, `grpc` or `grpc:SERVICE` asks
    /// grpc.health.v1, `none` takes it to be
    #[arg(long, value_name = "KIND", default_value = "tcp", conflicts_with = "check_path")]
    check: String,
    /// GET this path, which must answer 2xx, such as `/healthz`
    #[arg(long, value_name = "PATH")]
    check_path: Option<String>,
    /// From one check to the next
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = length)]
    check_interval: Duration,
    /// Of a whole check
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = length)]
    check_timeout: Duration,
    /// Checks that must pass in a row after it was not well
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..))]
    healthy: u32,
    /// Checks that must fail in a row for it not to be well
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..))]
    unhealthy: u32,
    /// How long gateways have to stop sending before it leaves
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = units::duration)]
    linger: Duration,
    /// The least that is logged, to stderr
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    log: Level,
    /// A service to run meanwhile: it gets the signals, its exit code is the agent's
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs an agent. Exit codes: see `weir agent --help`.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    match arguments.settings(std::env::var(VARIABLE).ok()) {
        Ok(settings) => agent::run(settings),
        Err(what) => {
            eprintln!("error: {what}\n\nFor more information, try 'weir agent --help'.");
            wrong()
        }
    }
}

impl Arguments {
    /// What they ask for; `variable` is the environment's secret.
    fn settings(self, variable: Option<String>) -> Result<Settings, String> {
        let services = services(&self.service, &self.address, &self.weight)?;
        let check = self.check()?;
        for seed in &self.seed {
            let (host, _) = host_and_port(seed).map_err(|what| format!("--seed {seed}: {what}"))?;
            if host.is_empty() {
                return Err(format!("--seed {seed} has no host: such as `10.0.0.1:7946`"));
            }
        }
        let secrets = secrets(self.secret, &self.secret_file, variable)?;
        if self.name.as_ref().is_some_and(String::is_empty) {
            return Err("--name is empty".to_owned());
        }
        Ok(Settings {
            services,
            name: self.name,
            bind: self.bind,
            advertise: self.advertise,
            seeds: self.seed,
            secrets,
            label: self.label,
            check,
            linger: self.linger,
            command: self.command,
            log: self.log,
        })
    }

    fn check(&self) -> Result<Option<Check>, String> {
        let (probe, protocol) = match (&self.check_path, &*self.check) {
            (Some(path), _) => (get(path)?, UpstreamProtocol::H1),
            (None, "none") => return Ok(None),
            (None, "tcp") => (Probe::Connect, UpstreamProtocol::H1),
            (None, "grpc") => (Probe::Grpc { service: String::new() }, UpstreamProtocol::H2),
            (None, kind) => match kind.strip_prefix("grpc:") {
                Some(name) => (Probe::Grpc { service: name.to_owned() }, UpstreamProtocol::H2),
                None if kind.starts_with('/') => {
                    return Err(format!("--check {kind}: write --check-path {kind}"));
                }
                None => {
                    return Err(format!("--check {kind}: `tcp`, `grpc`, `grpc:SERVICE` or `none`"));
                }
            },
        };
        let health = HealthCheck {
            probe,
            interval: self.check_interval,
            timeout: self.check_timeout,
            healthy: self.healthy,
            unhealthy: self.unhealthy,
        };
        Ok(Some(Check { health, protocol }))
    }
}

fn get(path: &str) -> Result<Probe, String> {
    let uri = path.parse::<http::Uri>();
    if !path.starts_with('/') || uri.is_err() {
        return Err(format!("--check-path {path}: a path begins with `/`, such as `/healthz`"));
    }
    let expect = vec![StatusRange { first: 200, last: 299 }];
    Ok(Probe::Http { path: path.to_owned(), expect })
}

/// Services with their addresses and weights.
fn services(
    names: &[String],
    addresses: &[String],
    weights: &[u16],
) -> Result<Vec<Service>, String> {
    if weights.len() > 1 && weights.len() != names.len() {
        let (weights, names) = (weights.len(), names.len());
        return Err(format!("{weights} --weight for {names} --service: one for all, or one each"));
    }
    let mut addresses = addresses.iter();
    let mut services = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let (name, address) = match name.split_once('=') {
            Some((name, address)) => (name, address),
            None => {
                let missing = || {
                    format!(
                        "--service {name} has no address: add --address IP:PORT, or write \
                             --service {name}=IP:PORT"
                    )
                };
                (name.as_str(), addresses.next().ok_or_else(missing)?.as_str())
            }
        };
        let address = place(address).map_err(|what| format!("--address {address}: {what}"))?;
        let weight = weights.get(at).or_else(|| weights.first()).copied().unwrap_or(1);
        services.push(Service { name: name.to_owned(), address, weight });
    }
    match addresses.next() {
        Some(left) => Err(format!("--address {left} belongs to no --service")),
        None => announceable(services),
    }
}

/// Refuses at once what others would not believe, whoever can be reached.
fn announceable(services: Vec<Service>) -> Result<Vec<Service>, String> {
    let offer = |service: &Service| Offer {
        service: service.name.as_str().into(),
        // Of the greatest length; the true one may have to be looked up.
        address: match service.address {
            Place::At(address) => address,
            Place::Here(port) => (Ipv6Addr::LOCALHOST, port).into(),
            Place::Named(_) => (Ipv6Addr::LOCALHOST, 1).into(),
        },
        weight: service.weight,
        ready: true,
    };
    let offers = services.iter().map(offer).collect();
    match (Announcement { kind: Kind::Agent, offers }).encode() {
        // What only addresses still to be found make too long is told of once they are.
        Ok(_) | Err(InvalidAnnouncement::Length) => Ok(services),
        Err(invalid) => Err(format!("--service: {invalid}")),
    }
}

fn place(text: &str) -> Result<Place, String> {
    if let Ok(address) = text.parse() {
        return Ok(Place::At(address));
    }
    let (host, port) = host_and_port(text)?;
    Ok(if host.is_empty() { Place::Here(port) } else { Place::Named(text.to_owned()) })
}

/// The host, which may be empty or a name, and the port.
fn host_and_port(text: &str) -> Result<(&str, u16), String> {
    let expected = || "expected a host and a port, such as `10.0.0.1:7946`".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    if host.contains(':') && !host.starts_with('[') {
        return Err(format!("{}; an IPv6 address stands in brackets", expected()));
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(expected()),
        Ok(port) => Ok((host, port)),
    }
}

/// The secrets of the flags, or else the environment's.
fn secrets(
    written: Vec<String>,
    files: &[PathBuf],
    variable: Option<String>,
) -> Result<Vec<Vec<u8>>, String> {
    let mut secrets: Vec<String> = written;
    for file in files {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("--secret-file {}: {error}", file.display()))?;
        secrets.push(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    if secrets.is_empty() {
        secrets.extend(variable.filter(|text| !text.is_empty()));
    }
    if let Some(short) = secrets.iter().find(|secret| secret.len() < SECRET_MIN) {
        let length = short.len();
        return Err(format!(
            "a secret of {length} bytes; {SECRET_MIN} are the fewest: make one with \
             `openssl rand -hex 32`"
        ));
    }
    Ok(secrets.into_iter().map(String::into_bytes).collect())
}

fn advertise(text: &str) -> Result<Advertise, String> {
    let whole = text.parse().map(Advertise::At);
    let found = whole.or_else(|_| text.parse::<IpAddr>().map(Advertise::Ip));
    match found {
        Ok(Advertise::At(address)) if address.ip().is_unspecified() || address.port() == 0 => {
            Err("it is to be the one address, with its port, that others reach".to_owned())
        }
        Ok(Advertise::Ip(ip)) if ip.is_unspecified() => {
            Err("it is to be the one address that others reach".to_owned())
        }
        Ok(found) => Ok(found),
        Err(_) => Err("expected an IP address, with a port or without".to_owned()),
    }
}

/// A duration that is not 0.
fn length(text: &str) -> Result<Duration, String> {
    match units::duration(text) {
        Ok(Duration::ZERO) => Err("it is at least 1ms".to_owned()),
        Ok(length) => Ok(length),
        Err(error) => Err(error.to_string()),
    }
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "trace" => Ok(Level::Trace),
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warn" => Ok(Level::Warn),
        "error" => Ok(Level::Error),
        _ => Err("`trace`, `debug`, `info`, `warn` or `error`".to_owned()),
    }
}

#[cfg(test)]
mod tests;
