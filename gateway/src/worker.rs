//! A worker: one thread, one runtime, its own listeners, pools, timers and counters.

use std::{
    cell::{Cell, Ref, RefCell},
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use slab::Slab;
use tokio::sync::{mpsc, watch};
use weir_config::model::{AccessLog, Bind};

use crate::{
    admission::{self, pulse::Pulse},
    clock::{self, Calendar, Tick},
    http::headers::Ids,
    limit::shared::{self, WorkerStore},
    listen::{
        accept,
        bind::ListenSocket,
        connection::{Carrier, Connection},
        udp,
    },
    policy::Aside,
    quic::{Dialer, QuicSocket},
    snapshot::{Route, live::Live},
    task,
    telemetry::{
        access_log::{Format, LogBuffer},
        date,
    },
    timers::Timers,
};

mod world;

pub(crate) use world::World;

/// How often pools are swept, log buffers flushed and a new configuration looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Turns of the runtime that are left to tasks at the end.
const FAREWELL_TURNS: usize = 3;

/// What the control thread tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept on this socket, as the current configuration says for its address.
    Listen(Bind, ListenSocket),
    /// Stop accepting there, and ask its connections to end; those over QUIC are not meant.
    Unlisten(Bind),
    /// Serve HTTP/3 on this socket, as the current configuration says for its address.
    ListenQuic(Bind, QuicSocket),
    /// Take no new connection there, and ask those over QUIC to end.
    UnlistenQuic(Bind),
    /// A new configuration is in place.
    Refresh,
    /// Ask all connections to end, going on to accept: newcomers get one answer each.
    Drain,
    /// Stop accepting.
    Close,
    /// End.
    Stop,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Coarse deadlines.
    pub(crate) timers: Timers,
    /// Randomness of this worker: picks, jitter.
    pub(crate) rng: RefCell<fastrand::Rng>,
    /// Ids of requests.
    pub(crate) ids: RefCell<Ids>,
    /// What all workers share.
    pub(crate) live: Arc<Live>,
    /// Calendar time without a system call.
    pub(crate) calendar: RefCell<Calendar>,
    /// How late this worker is, and whom it turns away.
    pulse: Rc<Pulse>,
    /// Where the key is written that a request is looked up by in the cache.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// Room for what is done beside requests.
    pub(crate) aside: Aside,
    /// Access-log lines on their way out.
    pub(crate) log: RefCell<LogBuffer>,
    /// Opens QUIC connections to upstreams.
    dialer: Rc<Dialer>,
    world: RefCell<Rc<World>>,
    version: Cell<u64>,
    date: RefCell<date::Cache>,
    connections: RefCell<Slab<Weak<Connection>>>,
    listening: RefCell<Vec<(Bind, watch::Sender<bool>)>>,
    listening_quic: RefCell<Vec<(Bind, watch::Sender<bool>)>>,
    draining: Cell<bool>,
    logging: Cell<bool>,
}

/// Keeps a connection in its worker's list.
#[derive(Debug)]
pub(crate) struct Enrolled {
    worker: Rc<Worker>,
    key: usize,
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(self.key);
    }
}

impl Worker {
    pub(crate) fn new(live: Arc<Live>, log: LogBuffer, seed: u64) -> Rc<Self> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let dialer = Rc::default();
        let world = World::new(live.snapshot(), None, &live, &dialer, &mut rng);
        let access = world.snapshot.config.log.access;
        let worker = Rc::new(Self {
            timers: Timers::new(),
            ids: RefCell::new(Ids::new(rng.fork())),
            rng: RefCell::new(rng),
            pulse: Pulse::new(live.admission.clone()),
            live,
            calendar: RefCell::default(),
            log: RefCell::new(log),
            scratch: RefCell::default(),
            aside: Aside::default(),
            dialer,
            version: Cell::new(world.snapshot.version),
            world: RefCell::new(Rc::new(world)),
            date: RefCell::default(),
            connections: RefCell::default(),
            listening: RefCell::default(),
            listening_quic: RefCell::default(),
            draining: Cell::new(false),
            logging: Cell::new(false),
        });
        worker.set_log(access);
        worker
    }

    /// The current configuration.
    pub(crate) fn world(&self) -> Rc<World> {
        if self.live.version() != self.version.get() {
            self.refresh();
        }
        self.world.borrow().clone()
    }

    #[cold]
    fn refresh(&self) {
        let snapshot = self.live.snapshot();
        self.version.set(snapshot.version);
        let before = self.world.borrow().clone();
        let rng = &mut self.rng.borrow_mut();
        let next = World::new(snapshot, Some(&before), &self.live, &self.dialer, rng);
        for (index, pool) in before.upstreams.iter().enumerate() {
            let same = next.pool(index, &pool.shared.name).map(|same| &**same);
            if !same.is_some_and(|same| std::ptr::eq(same, &**pool)) {
                pool.retire(same);
            }
        }
        let stays = |old: &WorkerStore| next.shared.as_ref().is_some_and(|new| new.is_way_of(old));
        if let Some(old) = before.shared.clone().filter(|old| !stays(old)) {
            task::spawn(async move { old.leave().await });
        }
        self.set_log(next.snapshot.config.log.access);
        *self.world.borrow_mut() = Rc::new(next);
    }

    /// Whether a request of this route with these fields is let in.
    pub(crate) fn admits(&self, route: &Route, headers: &HeaderMap) -> bool {
        let priority = || admission::priority_of(&route.priority, headers);
        self.pulse.admits(priority, || self.rng.borrow_mut().u8(..))
    }

    /// The present time for a Date field.
    pub(crate) fn date(&self) -> Ref<'_, HeaderValue> {
        let millis = self.calendar.borrow_mut().unix_millis(clock::now());
        self.date.borrow_mut().update(millis / 1000);
        Ref::map(self.date.borrow(), date::Cache::value)
    }

    /// Whether there is an access log.
    pub(crate) const fn is_logging(&self) -> bool {
        self.logging.get()
    }

    fn set_log(&self, access: AccessLog) {
        let format = match access {
            AccessLog::Json => Some(Format::Json),
            AccessLog::Common => Some(Format::Common),
            AccessLog::Off => None,
        };
        self.logging.set(format.is_some());
        if let Some(format) = format {
            self.log.borrow_mut().set_format(format);
        }
    }

    /// Adds a connection to the list of those that a drain asks to end.
    pub(crate) fn enroll(self: &Rc<Self>, connection: &Rc<Connection>) -> Enrolled {
        if self.draining.get() {
            connection.drain();
        }
        let key = self.connections.borrow_mut().insert(Rc::downgrade(connection));
        Enrolled { worker: self.clone(), key }
    }

    fn drain(&self, which: impl Fn(&Connection) -> bool) {
        let connections: Vec<_> =
            self.connections.borrow().iter().filter_map(|(_, weak)| weak.upgrade()).collect();
        connections.iter().filter(|one| which(one)).for_each(|one| one.drain());
    }

    fn housekeep(&self, now: Tick) {
        let world = self.world();
        for pool in &world.upstreams {
            pool.sweep(now);
        }
        self.log.borrow_mut().flush();
    }

    /// Runs until told to stop.
    pub(crate) async fn run(self: Rc<Self>, mut commands: mpsc::Receiver<Command>) {
        task::spawn(self.timers.driver());
        let worker = self.clone();
        task::spawn(async move {
            loop {
                tokio::time::sleep(HOUSEKEEPING).await;
                worker.housekeep(clock::now());
            }
        });
        task::spawn(shared::tidy(self.clone()));
        let worker = self.clone();
        let limit = move || worker.world().snapshot.limits.lag;
        task::spawn(self.pulse.clone().run(limit));
        while let Some(command) = commands.recv().await {
            match command {
                Command::Listen(bind, socket) => self.listen(bind, socket),
                Command::Unlisten(bind) => self.unlisten(&bind),
                Command::ListenQuic(bind, socket) => self.listen_quic(bind, socket),
                Command::UnlistenQuic(bind) => self.unlisten_quic(&bind),
                Command::Refresh => drop(self.world()),
                Command::Drain => {
                    self.draining.set(true);
                    self.drain(|_| true);
                }
                Command::Close => {
                    self.listening.borrow_mut().clear();
                    self.listening_quic.borrow_mut().clear();
                }
                Command::Stop => break,
            }
        }
        self.log.borrow_mut().flush();
        self.part().await;
    }

    /// Closes what is open to upstreams. Over QUIC that is a datagram, which a task sends: a server
    /// that is told nothing keeps the connection until it times out.
    async fn part(&self) {
        let world = self.world.borrow().clone();
        for pool in &world.upstreams {
            pool.retire(None);
        }
        if let Some(store) = &world.shared {
            store.part().await;
        }
        for _ in 0..FAREWELL_TURNS {
            tokio::task::yield_now().await;
        }
    }

    fn listen(self: &Rc<Self>, bind: Bind, socket: ListenSocket) {
        match socket.register() {
            Ok(listener) => {
                let (stop, stopped) = watch::channel(false);
                self.listening.borrow_mut().push((bind.clone(), stop));
                task::spawn(accept::run(self.clone(), listener, bind, stopped));
            }
            Err(error) => tracing::error!(%bind, %error, "cannot listen"),
        }
    }

    fn unlisten(&self, bind: &Bind) {
        self.listening.borrow_mut().retain(|(other, _)| other != bind);
        self.drain(|connection| {
            connection.carrier != Carrier::Quic && connection.listener.shared.config.bind == *bind
        });
    }

    fn listen_quic(self: &Rc<Self>, bind: Bind, socket: QuicSocket) {
        let (stop, stopped) = watch::channel(false);
        self.listening_quic.borrow_mut().push((bind.clone(), stop));
        task::spawn(udp::serve(self.clone(), bind, socket, stopped));
    }

    fn unlisten_quic(&self, bind: &Bind) {
        self.listening_quic.borrow_mut().retain(|(other, _)| other != bind);
        self.drain(|connection| {
            connection.carrier == Carrier::Quic && connection.listener.shared.config.bind == *bind
        });
    }
}
