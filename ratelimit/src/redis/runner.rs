//! Scripts on the servers, for one worker: what asks them for limits, and what other stores that
//! live on the same servers are built on.

use std::{
    cell::{Cell, RefCell},
    fmt,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{Either, LocalBoxFuture, Shared, select},
};
use redis::Value;
use smallvec::SmallVec;

use super::{
    breaker::Admission,
    cluster,
    fault::Fault,
    link::{Link, Trouble},
    map::Map,
    name::Name,
    part::later,
    script::{Call, Script},
    servers::{Server, Servers},
    wait::Wait,
};
use crate::moment::Nanos;

/// Nodes of a cluster that are asked in turn who owns what, until one says so.
const ASKED: usize = 4;
/// How long each of them has for it. No request waits for that.
const LOOK: Duration = Duration::from_millis(250);

/// The connections of one worker to the servers, and how scripts are run on them.
///
/// Not to be shared by threads, nor used outside of one tokio runtime. All runners on the same
/// [`Servers`] learn from each other which of them are down and, of a cluster, who owns what. Have
/// one for each use on a worker, or one for all: each has its own connections.
pub struct Runner {
    servers: Arc<Servers>,
    view: RefCell<View>,
    look: RefCell<Option<Look>>,
    rng: RefCell<fastrand::Rng>,
    /// To each server.
    connections: usize,
}

/// The servers as this worker has last seen them, with its connections to them.
struct View {
    version: u64,
    map: Arc<Map>,
    links: Vec<Rc<Links>>,
}

/// The connections to one server, taken in turn.
struct Links {
    server: Arc<Server>,
    links: Box<[Link]>,
    next: Cell<usize>,
}

/// A look at a cluster, on its way since.
#[derive(Clone)]
struct Look {
    since: Nanos,
    ends: Shared<LocalBoxFuture<'static, ()>>,
}

/// Places of keys, and which keys they are of.
pub(super) type Groups = SmallVec<[(usize, Members); 1]>;
pub(super) type Members = SmallVec<[usize; 4]>;

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// Gives a probe up if its request goes away.
struct Probe<'a>(&'a Server, bool);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.health.abandon();
        }
    }
}

impl Links {
    fn new(server: &Arc<Server>, connections: usize) -> Rc<Self> {
        let links = (0..connections.max(1)).map(|_| Link::new(Arc::clone(server))).collect();
        Rc::new(Self { server: Arc::clone(server), links, next: Cell::new(0) })
    }

    fn take(&self) -> &Link {
        self.next.set((self.next.get() + 1) % self.links.len());
        &self.links[self.next.get()]
    }
}

impl Runner {
    /// Runs scripts on `servers`. Nothing is sent yet. `rng` spreads out who asks a dead server
    /// when.
    pub fn new(servers: Arc<Servers>, rng: fastrand::Rng) -> Self {
        let connections = servers.options.connections;
        // As if never seen.
        let none = View { version: u64::MAX, map: servers.map(), links: Vec::new() };
        let (view, rng) = (RefCell::new(none), RefCell::new(rng));
        Self { servers, view, look: RefCell::default(), rng, connections }
    }

    /// As [`Self::new`]; servers run scripts in the order in which they are asked to, by way of one
    /// connection to each.
    pub fn in_order(servers: Arc<Servers>, rng: fastrand::Rng) -> Self {
        Self { connections: 1, ..Self::new(servers, rng) }
    }

    /// The servers.
    pub const fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// Runs `script` on the server that keeps `keys`, and waits at most `patience` for its reply.
    ///
    /// All keys of a call lie where the first one does: at the server that its hash tag (what
    /// stands in its first braces, else all of the key) belongs to. Only keys with one tag are sure
    /// to be together; keys that differ in it are for calls of their own.
    ///
    /// At once, without asking, when the server counts as down. Who stops waiting, or waited in
    /// vain, does not know whether the script was run or will be.
    ///
    /// # Errors
    /// When no reply came. A script's own error (`redis.error_reply`, or what a command in it
    /// raised) is one as well.
    pub async fn run(
        &self,
        script: &'static Script,
        keys: &[&[u8]],
        args: &[&[u8]],
        patience: Duration,
        now: Nanos,
    ) -> Result<Value, Trouble> {
        let place = self.place(keys.first().copied().unwrap_or_default());
        self.run_at(place, &Call::new(script, keys, args), Wait::new(patience), Some, now).await
    }

    /// Where `key` lies: keys of one place can be in one call.
    pub(super) fn place(&self, key: &[u8]) -> usize {
        self.servers.place(key, &self.view.borrow().map.nodes)
    }

    /// Where `names` lie, each with its number.
    pub(super) fn places<'n>(&self, names: impl Iterator<Item = (usize, &'n Name)>) -> Groups {
        let mut groups = Groups::new();
        for (i, name) in names {
            let place = self.place(name.bytes());
            match groups.iter_mut().find(|(other, _)| *other == place) {
                Some((_, members)) => members.push(i),
                None => groups.push((place, [i].into_iter().collect())),
            }
        }
        groups
    }

    /// Runs a script where its keys lie; `accept` takes what its reply says, if it is one. `now` is
    /// when `wait` began.
    pub(super) async fn run_at<T>(
        &self,
        place: usize,
        call: &Call<'_>,
        wait: Wait,
        accept: impl Fn(Value) -> Option<T>,
        now: Nanos,
    ) -> Result<T, Trouble> {
        if !self.servers.is_cluster() {
            let links = self.links(place).ok_or_else(unknown)?;
            return self.ask(&links, call, wait, accept, now).await;
        }
        // In a room of its own: calls of servers that are no cluster need not carry it along.
        Box::pin(self.run_in_cluster(place, call, wait, accept, now)).await
    }

    async fn run_in_cluster<T>(
        &self,
        place: usize,
        call: &Call<'_>,
        wait: Wait,
        accept: impl Fn(Value) -> Option<T>,
        now: Nanos,
    ) -> Result<T, Trouble> {
        let Some(Look { since, ends }) = self.look(now) else {
            return self.follow(place, call, wait, accept, now).await;
        };
        // Nobody waits longer for it than the one who began it, if there is anybody else to ask.
        if self.owner(place).is_none() && now < later(since, wait.patience()) {
            let _ = tokio::time::timeout_at(wait.until, ends).await;
            return self.follow(place, call, wait, accept, now).await;
        }
        let ask = pin!(self.follow(place, call, wait, accept, now));
        match select(ends, ask).await {
            Either::Left(((), ask)) => ask.await,
            Either::Right((outcome, _)) => outcome,
        }
    }

    /// Asks the owner of a slot, and whom it sends us to, if it does.
    async fn follow<T>(
        &self,
        slot: usize,
        call: &Call<'_>,
        wait: Wait,
        accept: impl Fn(Value) -> Option<T>,
        now: Nanos,
    ) -> Result<T, Trouble> {
        let Some(links) = self.owner(slot) else {
            self.servers.counters.skip();
            self.servers.doubt();
            return Err(unknown());
        };
        let outcome = self.ask(&links, call, wait, &accept, now).await;
        let Err(Trouble { redirect: Some(redirect), .. }) = &outcome else { return outcome };
        let there = cluster::address(&redirect.address)
            .and_then(|(host, port)| self.servers.learn(host, port, &links.server))
            .and_then(|place| self.links(place));
        let Some(links) = there else { return outcome };
        let call = Call { asking: redirect.asking, ..*call };
        let outcome = self.ask(&links, &call, wait, accept, now).await;
        if matches!(&outcome, Err(trouble) if trouble.redirect.is_some()) {
            // Once is enough: they do not agree yet.
            self.servers.counters.fail(Fault::Other);
        }
        outcome
    }

    /// Asks one server, unless that is down.
    async fn ask<T>(
        &self,
        links: &Links,
        call: &Call<'_>,
        wait: Wait,
        accept: impl Fn(Value) -> Option<T>,
        now: Nanos,
    ) -> Result<T, Trouble> {
        let server = &*links.server;
        let mut probe = match server.health.admit(now) {
            Admission::Skip => {
                self.servers.counters.skip();
                self.servers.doubt();
                return Err(Trouble::new(Fault::Down, "it counts as down"));
            }
            Admission::Probe => Probe(server, true),
            Admission::Ask => Probe(server, false),
        };
        let run = run_on(links.take(), call, probe.1 && server.health.is_unwritable());
        let outcome = match tokio::time::timeout_at(wait.until, run).await {
            Ok(Ok(reply)) => {
                accept(reply).ok_or_else(|| Trouble::new(Fault::Other, "an unknown reply"))
            }
            Ok(Err(trouble)) => Err(trouble),
            Err(_) if !wait.fair => {
                // It had no time to answer in: that says nothing of it.
                self.servers.counters.fail(Fault::Slow);
                return Err(Trouble::new(Fault::Slow, "no answer in what was left of the time"));
            }
            Err(_) => Err(Trouble::new(Fault::Slow, "no answer in time")),
        };
        let probing = std::mem::take(&mut probe.1);
        match &outcome {
            Ok(_) => server.succeed(probing),
            // It is well, and knows who is to be asked.
            Err(trouble) if trouble.redirect.is_some() && self.servers.is_cluster() => {
                self.servers.doubt();
                server.recover(probing);
            }
            Err(trouble) => {
                if trouble.fault.is_lasting() {
                    self.servers.doubt();
                }
                let now = later(now, wait.elapsed());
                server.fail(trouble, probing, now, &mut self.rng.borrow_mut());
            }
        }
        outcome
    }

    /// The connections to the node at this place of the map.
    fn links(&self, place: usize) -> Option<Rc<Links>> {
        self.renew();
        self.view.borrow().links.get(place).cloned()
    }

    /// The connections to whoever owns `slot`.
    fn owner(&self, slot: usize) -> Option<Rc<Links>> {
        self.renew();
        let view = self.view.borrow();
        view.map.owner(slot).and_then(|place| view.links.get(place).cloned())
    }

    /// Takes note of a new map, if there is one. Connections to nodes that stay are kept.
    fn renew(&self) {
        let version = self.servers.version();
        let mut view = self.view.borrow_mut();
        if view.version == version {
            return;
        }
        let map = self.servers.map();
        let links = map.nodes.iter().map(|node| {
            let known = view.links.iter().find(|links| Arc::ptr_eq(&links.server, node));
            known.cloned().unwrap_or_else(|| Links::new(node, self.connections))
        });
        let links = links.collect();
        *view = View { version, map, links };
    }

    /// The look at the cluster that is on its way, if any is; begins one if it is time. Driven on
    /// by the requests that come along, so that it needs no task.
    fn look(&self, now: Nanos) -> Option<Look> {
        let mut look = self.look.borrow_mut();
        if look.as_ref().is_some_and(|look| look.ends.peek().is_some()) {
            *look = None;
        }
        if look.is_none() && self.servers.claim_look(now, &mut self.rng.borrow_mut()) {
            self.renew();
            let mut asked = self.view.borrow().links.clone();
            let mut rng = self.rng.borrow_mut().fork();
            rng.shuffle(&mut asked);
            let ends = look_at(Arc::clone(&self.servers), asked, now, rng);
            *look = Some(Look { since: now, ends: ends.boxed_local().shared() });
        }
        look.clone()
    }
}

/// Runs a script; with `write`, only where its server can write. The script itself may have nothing
/// to write: a server that is full of data, or has become a replica, denies as well as ever.
async fn run_on(link: &Link, call: &Call<'_>, write: bool) -> Result<Value, Trouble> {
    if let (true, Some(key)) = (write, call.keys.first()) {
        // In the same place, and gone in a moment.
        let key = [key, &b":w"[..]].concat();
        let mut set = redis::cmd("SET");
        set.arg(key).arg(1).arg("PX").arg(1);
        match Box::pin(link.query(&set)).await {
            Err(trouble) if trouble.fault.is_lasting() => return Err(trouble),
            // What else there is to say the script will hear.
            _ => {}
        }
    }
    link.run(call).await
}

/// Asks some of `nodes` who owns what.
async fn look_at(servers: Arc<Servers>, nodes: Vec<Rc<Links>>, now: Nanos, mut rng: fastrand::Rng) {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let well = |links: &&Rc<Links>| links.server.health.admit(now) != Admission::Skip;
    for links in nodes.iter().filter(well).take(ASKED) {
        let server = &*links.server;
        let mut probe = Probe(server, true);
        let outcome = tokio::time::timeout(LOOK, links.take().query(&command)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Trouble::new(Fault::Slow, "no answer")));
        let ranges = outcome.and_then(|reply| {
            let unknown = || Trouble::new(Fault::Other, "an unknown reply to CLUSTER SLOTS");
            cluster::ranges(&reply).ok_or_else(unknown)
        });
        match ranges {
            Ok(ranges) if !ranges.is_empty() => {
                servers.adopt(&ranges, server);
                return;
            }
            // Not part of a cluster yet.
            Ok(_) => {}
            Err(trouble) => {
                probe.1 = false;
                server.fail(&trouble, true, now, &mut rng);
            }
        }
    }
    servers.doubt();
}

fn unknown() -> Trouble {
    Trouble::new(Fault::Down, "nobody is known to keep it")
}
