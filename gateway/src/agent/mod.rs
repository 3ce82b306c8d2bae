//! `weir agent`: speaks for the instances of services that run beside it.
//!
//! A member of its own, on one thread: it checks its instances, announces those that are well, and
//! says that it goes before it does. It may run a service as its child.

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use tokio::runtime::Builder;
use weir_config::model::{HealthCheck, Level, UpstreamProtocol};

use crate::telemetry::log;

mod child;
mod instance;
mod life;
mod place;
mod seeds;
mod start;
mod told;

/// Another live process goes by this one's name.
const SUPERSEDED: u8 = 3;

/// What an agent does.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What it speaks for; never empty.
    pub(crate) services: Vec<Service>,
    /// What it is called, if not after the machine and the first service.
    pub(crate) name: Option<String>,
    /// Where it speaks, if not wherever there is room.
    pub(crate) bind: Option<SocketAddr>,
    /// Where others reach it, if not there.
    pub(crate) advertise: Option<Advertise>,
    /// Members through whom it joins, as `host:port`; never empty.
    pub(crate) seeds: Vec<String>,
    /// What all members share, the one to seal with first.
    pub(crate) secrets: Vec<Vec<u8>>,
    /// What the membership is called.
    pub(crate) label: String,
    /// How it finds out whether an instance is well; `None` takes its word.
    pub(crate) check: Option<Check>,
    /// From saying that it takes no more requests to going.
    pub(crate) linger: Duration,
    /// What to run; empty is nothing.
    pub(crate) command: Vec<OsString>,
    /// The least that is logged.
    pub(crate) log: Level,
}

/// An instance as it is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// The service's name.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: Place,
    /// Its share relative to others'.
    pub(crate) weight: u16,
}

/// Where an instance listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this address.
    At(SocketAddr),
    /// At this port of the address that others reach the agent at.
    Here(u16),
    /// At a `host:port` to be looked up.
    Named(String),
}

/// Where others reach a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advertise {
    /// At this address.
    At(SocketAddr),
    /// At this address, and the port where it is bound.
    Ip(IpAddr),
}

/// How an instance is checked.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// What is asked, how often, and how many results count.
    pub(crate) health: HealthCheck,
    /// What it is asked in.
    pub(crate) protocol: UpstreamProtocol,
}

/// Why an agent ends before it has begun.
#[derive(Debug)]
enum Failed {
    /// What was asked for cannot be.
    Wrong(String),
    /// It could be, on another machine or at another time.
    Start(String),
    /// The command cannot be run: with this exit code.
    Command(u8, String),
    /// Told to stop while it started.
    Stopped,
}

/// Runs an agent until it is told to stop. Exit codes: see `weir agent --help`.
pub(crate) fn run(settings: Settings) -> ExitCode {
    log::start(settings.log);
    let runtime = match Builder::new_current_thread().enable_all().build_local(Default::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the agent's runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let begun = match told::Told::register(!settings.command.is_empty()) {
            Ok(told) => start::start(settings, told).await,
            Err(error) => Err(Failed::Start(format!("cannot listen for signals: {error}"))),
        };
        let (code, what) = match begun {
            Ok(agent) => return agent.live().await,
            Err(Failed::Stopped) => return ExitCode::SUCCESS,
            Err(Failed::Wrong(what)) => (2, what),
            Err(Failed::Start(what)) => (1, what),
            Err(Failed::Command(code, what)) => (code, what),
        };
        eprintln!("error: {what}");
        ExitCode::from(code)
    })
}
