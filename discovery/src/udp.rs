//! The protocol on the network: packets over UDP, streams over TCP, both at one address, both
//! sealed. The shell around [`crate::swim`]: it owns sockets and the clock, and decides nothing.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    seal::{InvalidKeys, OVERHEAD_BYTES, Seal},
    swim::{Chance, InvalidParams, Moment, Params, Record, State, Swim},
};

mod run;
mod stream;

use run::Command;
pub use run::{Driver, Ended};

/// Who a member is and where it speaks.
#[derive(Clone)]
pub struct Settings {
    /// What it is called: unique, stable over restarts.
    pub name: String,
    /// When this process started, in milliseconds since 1970.
    pub generation_ms: u64,
    /// Where it listens; with port 0 wherever there is room.
    pub bind: SocketAddr,
    /// Where others reach it, if not where it listens.
    pub advertise: Option<SocketAddr>,
    /// What is attached to it.
    pub meta: Vec<u8>,
    /// Through whom it joins.
    pub seeds: Vec<SocketAddr>,
    /// What all members share, the one to seal with first. Needed off loopback.
    pub secrets: Vec<Vec<u8>>,
    /// What the membership is called: members of others are not heard.
    pub label: String,
    /// How it behaves.
    pub params: Params,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bind, seeds, label, .. } = self;
        f.debug_struct("Settings")
            .field("name", name)
            .field("bind", bind)
            .field("seeds", seeds)
            .field("label", label)
            .finish_non_exhaustive()
    }
}

/// Why a member cannot speak.
#[derive(Debug)]
pub enum BindError {
    /// A parameter cannot be.
    Params(InvalidParams),
    /// A secret or the label cannot be.
    Keys(InvalidKeys),
    /// The name is empty or too long, the metadata is too long, or the address has no port.
    Record,
    /// It would be heard off this machine, and has no secret.
    NoSecret,
    /// The address cannot be listened on.
    Socket(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Params(error) => error.fmt(f),
            Self::Keys(error) => error.fmt(f),
            Self::Record => f.write_str("the name, the metadata or the address cannot be told"),
            Self::NoSecret => f.write_str("off loopback a membership needs a secret"),
            Self::Socket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

/// What is believed of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// What it says of itself.
    pub record: Arc<Record>,
    /// What is believed.
    pub state: State,
    /// Since it last said something new.
    pub incarnation: u32,
    /// How suspicious its silence is, if this member watches it.
    pub phi: Option<f64>,
    /// How long it last took to answer, if this member watches it.
    pub round_trip: Option<Duration>,
}

/// What passed through the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Packets sent.
    pub sent: u64,
    /// Packets that the system had no room for.
    pub dropped: u64,
    /// Packets and streams opened and handed on.
    pub received: u64,
    /// What nobody with a key and the label had sealed.
    pub unsealed: u64,
    /// What had been received before.
    pub replayed: u64,
    /// What was sealed and cannot be read.
    pub malformed: u64,
}

/// All that a member believes, at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// Rises with every view.
    pub version: u64,
    /// Everybody remembered, by name, itself among them.
    pub members: Vec<Member>,
    /// Those that live.
    pub live: usize,
    /// The local health: 0 is best.
    pub health: u32,
    /// What passed so far.
    pub passed: Passed,
}

/// What to ask of a running member, and what it believes.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Arc<View>>,
    addr: SocketAddr,
}

impl Handle {
    /// Where others reach it.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What is believed now. It is told again within 100 ms of a change, and once a period.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// Views as they come.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Tells the others that it goes; the driver ends when they were told.
    pub async fn leave(&self) {
        self.ask(Command::Leave).await;
    }

    /// Replaces what is attached to it; what is too long is not taken.
    pub async fn set_meta(&self, meta: Vec<u8>) {
        self.ask(Command::Meta(meta)).await;
    }

    /// Replaces the seeds, as when their name resolves to other addresses.
    pub async fn set_seeds(&self, seeds: Vec<SocketAddr>) {
        self.ask(Command::Seeds(seeds)).await;
    }

    /// Replaces the keys, unless there are none so far.
    pub async fn rekey(&self, secrets: Vec<Vec<u8>>) -> Result<(), InvalidKeys> {
        // Checked here, where whoever asks can be told.
        Seal::new(&secrets, "")?;
        self.ask(Command::Keys(secrets)).await;
        Ok(())
    }

    /// A driver that has ended needs nothing any more.
    async fn ask(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

/// Opens the sockets. The member speaks once [`Driver::run`] runs.
pub async fn bind(settings: Settings) -> Result<(Driver, Handle), BindError> {
    let mut params = settings.params.check().map_err(BindError::Params)?;
    let local = |addr: &SocketAddr| addr.ip().is_loopback();
    let alone = local(&settings.bind) && settings.advertise.as_ref().is_none_or(local);
    let seal = match &*settings.secrets {
        [] if alone => None,
        [] => return Err(BindError::NoSecret),
        secrets => Some(Seal::new(secrets, &settings.label).map_err(BindError::Keys)?),
    };
    params.packet_bytes = params.packet_bytes.min(1400 - OVERHEAD_BYTES);
    let (socket, listener) = open(settings.bind).await.map_err(BindError::Socket)?;
    let bound = listener.local_addr().map_err(BindError::Socket)?;
    let addr = settings.advertise.unwrap_or(bound);
    let record = Record::new(&settings.name, settings.generation_ms, addr, &settings.meta);
    let record = Arc::new(record.ok_or(BindError::Record)?);
    let mut seed = [0; 8];
    rand::fill(&mut seed).map_err(|_| BindError::Socket(io::Error::other("no random bytes")))?;
    let mut chance = Chance::seeded(u64::from_be_bytes(seed));
    let origin = ticks();
    let start = Moment::default();
    let swim = Swim::new(Arc::new(params), record, &settings.seeds, start, &mut chance);
    let (commands, asked) = mpsc::channel(16);
    let (views, view) = watch::channel(Arc::default());
    let driver = Driver::new(socket, listener, swim, chance, seal, origin, asked, views);
    Ok((driver, Handle { commands, view, addr }))
}

/// Both sockets at one address: with port 0 at one where both are free.
async fn open(addr: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = 16;
    loop {
        let listener = TcpListener::bind(addr).await?;
        match UdpSocket::bind(listener.local_addr()?).await {
            Ok(socket) => return Ok((socket, listener)),
            Err(error) if addr.port() != 0 || attempts == 0 => return Err(error),
            Err(_) => attempts -= 1,
        }
    }
}

/// Tokio's clock.
#[allow(clippy::disallowed_methods, reason = "the one place of this crate that reads a clock")]
fn ticks() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
