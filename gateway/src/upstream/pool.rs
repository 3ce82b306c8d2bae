//! One worker's connections to one endpoint.
//!
//! Idle HTTP/1.1 connections are a stack, so that a quiet hour leaves the old ones to be swept;
//! HTTP/2 and HTTP/3 connections are shared, and one more is opened when all their streams are
//! taken.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::HeaderMap;
use weir_config::model::UpstreamProtocol;

use super::{
    connect::Connector,
    endpoint::{Endpoint, Upstream},
    h1::H1Connection,
    h2::H2Connection,
    h3::H3Connection,
    limit::{Gate, Permit},
    load::EndpointLoad,
    pick::Candidate,
    shared::Shared,
    trial::Trial,
    wire::{RawWire, Wire},
};
use crate::{
    clock::{self, Tick},
    error::Error,
    quic::Dialer,
    task,
    telemetry::{counters::EndpointCounters, registry::Registry},
};

mod group;

pub(crate) use group::UpstreamPool;

/// A connection idle for longer is closed. Servers close theirs earlier or much later; what matters
/// is that it ends at all.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Counts an open connection at its endpoint and against the upstream's bound.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    counters: Arc<EndpointCounters>,
    _permit: Permit,
}

impl OpenConnection {
    fn new(counters: Arc<EndpointCounters>, permit: Permit) -> Self {
        counters.open.add(1);
        Self { counters, _permit: permit }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.open.sub(1);
    }
}

/// A connection ready for a request.
#[derive(Debug)]
pub(crate) enum Ready {
    /// For this request alone.
    H1(Box<H1Connection>),
    /// Shared with others.
    H2(Rc<H2Connection>),
    /// Shared with others.
    H3(Rc<H3Connection>),
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct EndpointPool {
    /// What all workers share.
    pub(crate) shared: Arc<Endpoint>,
    counters: Arc<EndpointCounters>,
    connector: Arc<Connector>,
    connections: Arc<Gate>,
    #[expect(clippy::vec_box, reason = "a connection moves in and out with each request")]
    idle: RefCell<Vec<Box<H1Connection>>>,
    /// Those of HTTP/3 first: they are preferred.
    shared_connections: RefCell<Vec<Shared>>,
    /// Held while a shared connection is being opened: those who come meanwhile will share it.
    opening: tokio::sync::Mutex<()>,
    /// Whether the endpoint is known, or hoped, to speak HTTP/2, or HTTP/3 is all that is spoken.
    multiplexed: Cell<bool>,
    dialer: Rc<Dialer>,
    /// HTTP/3 where the endpoint says that it speaks it, with `protocol: auto`.
    trial: Option<Trial>,
    /// The configuration no longer names the endpoint: connections end with their requests.
    closed: Cell<bool>,
}

/// An endpoint under a request: a cheap handle for [`super::load::InFlight`].
#[derive(Debug, Clone)]
pub(crate) struct Pooled(pub(crate) Rc<EndpointPool>);

impl AsRef<EndpointLoad> for Pooled {
    fn as_ref(&self) -> &EndpointLoad {
        &self.0.shared.load
    }
}

impl Candidate for Pooled {
    fn load(&self) -> &EndpointLoad {
        &self.0.shared.load
    }
}

impl EndpointPool {
    fn new(
        shared: Arc<Endpoint>,
        upstream: &Upstream,
        registry: &Registry,
        dialer: Rc<Dialer>,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let connector = upstream.connector.clone();
        let asks = connector.protocol == UpstreamProtocol::Auto && connector.tls.is_some();
        let mut this = Self::apart(shared, connector, dialer);
        this.trial = asks.then(|| Trial::new(&this.shared.address, rng));
        this.counters = registry.endpoint(&upstream.name, &this.shared.name);
        this.connections = upstream.gates.connections.clone();
        this
    }

    /// A pool whose connections neither count nor take a place among those of requests.
    pub(crate) fn apart(
        shared: Arc<Endpoint>,
        connector: Arc<Connector>,
        dialer: Rc<Dialer>,
    ) -> Self {
        Self {
            trial: None,
            dialer,
            counters: Arc::default(),
            shared,
            multiplexed: Cell::new(connector.protocol != UpstreamProtocol::H1),
            connector,
            connections: Arc::new(Gate::new(1, 0)),
            idle: RefCell::default(),
            shared_connections: RefCell::default(),
            opening: tokio::sync::Mutex::default(),
            closed: Cell::new(false),
        }
    }

    /// Whether connections are TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.connector.tls.is_some()
    }

    /// A connection that is open already, for a request that asks for a tunnel or not.
    pub(crate) fn take(&self, tunnel: bool) -> Option<Ready> {
        if let Some(ready) = self.with_room(tunnel) {
            return Some(ready);
        }
        loop {
            let mut connection = self.idle.borrow_mut().pop()?;
            self.counters.idle.sub(1);
            if connection.is_usable() {
                return Some(Ready::H1(connection));
            }
        }
    }

    /// Opens a connection, or waits for one that can be shared.
    pub(crate) async fn open(&self, tunnel: bool) -> Result<Ready, Error> {
        if !self.multiplexed.get() {
            return self.connect().await;
        }
        let _opening = self.opening.lock().await;
        match self.with_room(tunnel) {
            Some(ready) => Ok(ready),
            None => self.connect().await,
        }
    }

    /// Opens a connection for bytes that are no HTTP; it never is one of the pool's.
    pub(crate) async fn dial(&self) -> Result<Wire, Error> {
        let open = self.place().await?;
        let opened = self.connector.connect(&self.shared.address).await;
        self.count(opened.is_ok());
        Ok(Wire::Raw(RawWire::new(opened?.transport, open)))
    }

    async fn connect(&self) -> Result<Ready, Error> {
        let open = self.place().await?;
        let ready = self.establish(open).await;
        self.count(ready.is_ok());
        ready
    }

    /// A place among the upstream's connections.
    async fn place(&self) -> Result<OpenConnection, Error> {
        let permit = match self.connections.try_acquire() {
            Some(permit) => permit,
            // Idle connections of other workers hold the rest; their sweep sees us waiting.
            None => self.connections.acquire().await.map_err(|_| Error::UpstreamBusy)?,
        };
        Ok(OpenConnection::new(self.counters.clone(), permit))
    }

    fn count(&self, connected: bool) {
        let counters = &self.counters;
        let counter = if connected { &counters.connects } else { &counters.connect_failures };
        counter.add(1);
    }

    async fn establish(&self, open: OpenConnection) -> Result<Ready, Error> {
        if self.connector.protocol == UpstreamProtocol::H3 {
            let address = &self.shared.address;
            let connection = self.connector.connect_h3(address, None, &self.dialer, open).await?;
            self.share(Shared::H3(connection.clone()));
            return Ok(Ready::H3(connection));
        }
        let opened = self.connector.connect(&self.shared.address).await?;
        self.multiplexed.set(opened.h2);
        if !opened.h2 {
            return Ok(Ready::H1(H1Connection::new(opened.transport, open)));
        }
        // An endpoint that accepts and then says nothing is not connected.
        let handshake = H2Connection::handshake(opened.transport, open);
        let connection = tokio::time::timeout(self.connector.timeout, handshake)
            .await
            .unwrap_or(Err(Error::ConnectTimeout))?;
        self.share(Shared::H2(connection.clone()));
        Ok(Ready::H2(connection))
    }

    fn share(&self, connection: Shared) {
        let mut shared = self.shared_connections.borrow_mut();
        match connection {
            Shared::H2(_) => shared.push(connection),
            Shared::H3(_) => shared.insert(0, connection),
        }
    }

    fn with_room(&self, tunnel: bool) -> Option<Ready> {
        let shared = self.shared_connections.borrow();
        // Where HTTP/3 is an addition, what it cannot do goes as it went before.
        let choosy = tunnel && self.trial.is_some();
        let fits =
            |connection: &&Shared| connection.has_room() && (!choosy || connection.takes_tunnels());
        shared.iter().find(fits).map(Shared::ready)
    }

    /// Takes in what a response says of other ways to the endpoint, and sets about them.
    pub(crate) fn hear(self: &Rc<Self>, headers: &HeaderMap, now: Tick) {
        let Some(trial) = &self.trial else { return };
        trial.hear(headers, now);
        if let Some(port) = trial.begin(now)
            && !self.closed.get()
            && let Some(permit) = self.connections.try_acquire()
        {
            trial.opening();
            let open = OpenConnection::new(self.counters.clone(), permit);
            let this = self.clone();
            task::spawn(async move { this.try_h3(port, open).await });
        }
    }

    /// Opens an HTTP/3 connection beside those that serve.
    async fn try_h3(&self, port: u16, open: OpenConnection) {
        let Some(trial) = &self.trial else { return };
        let address = &self.shared.address;
        let opened = self.connector.connect_h3(address, Some(port), &self.dialer, open).await;
        let now = clock::now();
        match opened {
            Ok(connection) => {
                self.counters.connects.add(1);
                self.counters.h3_reached.add(1);
                trial.opened(connection.clone(), now);
                self.share(Shared::H3(connection));
                if self.closed.get() {
                    self.sweep(now);
                }
            }
            Err(error) => {
                tracing::debug!(endpoint = %self.shared.name, port, %error, "no HTTP/3 there");
                self.counters.h3_missed.add(1);
                trial.failed(now);
            }
        }
    }

    /// Takes a connection back after its response was read to the end. Whether it is still good is
    /// looked at when it is taken, or swept.
    pub(crate) fn put_back(&self, mut connection: Box<H1Connection>) {
        if self.closed.get() || self.connections.waiting() > 0 {
            return;
        }
        connection.idle_since = None;
        self.counters.idle.add(1);
        self.idle.borrow_mut().push(connection);
    }

    /// Closes what has been idle for too long or was closed by the endpoint, and one connection for
    /// each request of another worker that waits for one.
    pub(crate) fn sweep(&self, now: Tick) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        let mut wanted = self.connections.waiting();
        idle.retain_mut(|connection| {
            if connection.idle_since.is_none() {
                connection.shrink();
            }
            let keep = !self.closed.get()
                && wanted == 0
                && now.since(*connection.idle_since.get_or_insert(now)) < IDLE_TIMEOUT
                && connection.is_usable();
            wanted = wanted.saturating_sub(u32::from(!keep));
            keep
        });
        self.counters.idle.sub((before - idle.len()) as u64);
        drop(idle);
        self.shared_connections.borrow_mut().retain(|connection| {
            if self.closed.get() || connection.idle_for(now) > IDLE_TIMEOUT {
                connection.retire();
            }
            !connection.is_retired()
        });
        if let Some(trial) = &self.trial {
            trial.look(now);
        }
    }

    /// Lets go of all connections as their requests end.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.sweep(clock::now());
    }
}

impl Drop for EndpointPool {
    fn drop(&mut self) {
        self.counters.idle.sub(self.idle.get_mut().len() as u64);
    }
}
