//! How many requests of one key may be under way at once, at all gateways together.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt, mem,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;

use super::{limit::OnFailure, part::later, runner::Runner, servers::Servers};
use crate::{
    concurrency::{Busy, Concurrency, Permit},
    key::Key,
    moment::Nanos,
};

mod names;
mod tell;
#[cfg(test)]
mod tests;

use names::Names;
use tell::NAMES;

/// Those that have ended and are still to be told.
const ENDED: usize = 16_384;

/// Requests under way per key, counted on servers for all gateways, as one worker sees them.
///
/// Never are more under way than may be, as far as the servers remember: each request has a lease
/// there, which [`SharedConcurrency::tend`] renews. What a gateway had under way when it died, or
/// lost its servers, counts until its leases end; a gateway that stalls for longer than a lease is
/// counted again when it goes on. Servers that have forgotten all, or have been away, are told at
/// the next renewal what is under way, even if that is more than may be.
///
/// What is kept here are the requests under way, and at most 16,384 that have ended and that the
/// servers do not know of yet: where more end while those cannot be told, leases run out.
///
/// Not to be shared by threads, nor used outside of one tokio runtime.
pub struct SharedConcurrency {
    runner: Runner,
    fallback: Arc<Concurrency>,
    /// Chosen at random: what tells the names of one worker from those of all others.
    who: u64,
    count: Cell<u64>,
    keys: RefCell<HashMap<Key, Names>>,
    /// Keys of which something has ended since the servers were told.
    news: RefCell<Vec<Key>>,
    /// There are some.
    bell: Notify,
    /// How many have ended that the servers do not know of.
    untold: Cell<usize>,
    /// The shortest lease so far: how often to look for some to renew goes by it.
    shortest: Cell<Duration>,
    /// When that is next.
    look_at: Cell<Nanos>,
}

/// How a limit on requests under way is asked.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// How many there may be.
    pub max: u32,
    /// How long one counts that nobody renews; some seconds.
    pub lease: Duration,
    /// What to do while the server of the key does not answer. With [`OnFailure::Local`] this
    /// gateway's share may be under way, one at least.
    pub on_failure: OnFailure,
    /// How many gateways are alive, this one among them.
    pub members: u32,
}

/// Why a request may not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no room.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The server does not answer, and then nothing is to pass.
    #[error("the store does not answer")]
    Unknown,
}

/// A request under way; it ends when this is dropped.
#[must_use = "the request counts as ended when this is dropped"]
pub struct SharedPermit {
    owner: Rc<SharedConcurrency>,
    key: Key,
    number: u64,
    /// Counted here too, for the day the servers are gone; `None` where there is no room for that.
    _local: Option<Permit>,
}

impl fmt::Debug for SharedConcurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedConcurrency")
            .field("keys", &self.keys.borrow().len())
            .field("untold", &self.untold.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SharedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPermit").field("key", &self.key).finish_non_exhaustive()
    }
}

impl SharedConcurrency {
    /// Counts requests on `servers`, for one worker; what is under way is counted in `fallback` as
    /// well, which all workers should share. Nothing is sent yet. `rng` must not begin as that of
    /// another worker does, here or elsewhere.
    pub fn new(
        servers: Arc<Servers>,
        fallback: Arc<Concurrency>,
        mut rng: fastrand::Rng,
    ) -> Rc<Self> {
        let who = rng.u64(..);
        Rc::new(Self {
            // In order: that one has ended is to be heard before another asks for its place.
            runner: Runner::in_order(servers, rng),
            fallback,
            who,
            count: Cell::default(),
            keys: RefCell::default(),
            news: RefCell::default(),
            bell: Notify::new(),
            untold: Cell::default(),
            shortest: Cell::new(Duration::MAX),
            look_at: Cell::new(Nanos::ZERO),
        })
    }

    /// Begins a request of `key`, if there is room.
    ///
    /// Takes at most the time that requests wait for a server.
    ///
    /// # Errors
    /// When it may not begin.
    pub async fn acquire(
        self: &Rc<Self>,
        key: Key,
        room: Room,
        now: Nanos,
    ) -> Result<SharedPermit, Refused> {
        let number = self.count.replace(self.count.get().wrapping_add(1));
        let lease = room.lease.max(Duration::from_millis(1));
        self.shortest.set(self.shortest.get().min(lease));
        let ended = self.take_ended(key);
        let mut asked = Asked { owner: self, key, number, lease, ended, unsure: true };
        let begun = self.begin(&asked, room.max, now).await;
        if begun.is_err() {
            self.runner.servers().counters.go_alone();
            // Whether or not this one passes, nobody is sure to have heard of those.
            let ended = mem::take(&mut asked.ended);
            ended.into_iter().for_each(|number| self.end(key, number, lease));
        }
        let count_here = |max| Concurrency::acquire(&self.fallback, key, max);
        let local = match (begun, room.on_failure) {
            (Ok((true, _)), _) | (Err(_), OnFailure::Allow) => count_here(u32::MAX).ok(),
            (Ok((false, under_way)), _) => {
                asked.unsure = false;
                return Err(Busy::Key { under_way }.into());
            }
            (Err(_), OnFailure::Deny) => return Err(Refused::Unknown),
            (Err(_), OnFailure::Local) => {
                let share = (room.max / room.members.max(1)).max(room.max.min(1));
                Some(count_here(share)?)
            }
        };
        asked.unsure = false;
        let mut keys = self.keys.borrow_mut();
        keys.entry(key).or_insert_with(|| Names::new(lease)).begin(number, lease, now);
        Ok(SharedPermit { owner: Rc::clone(self), key, number, _local: local })
    }

    /// How many requests of `key` this worker has under way.
    pub fn under_way(&self, key: Key) -> usize {
        self.keys.borrow().get(&key).map_or(0, Names::under_way)
    }

    /// Whether nothing is under way, and the servers know.
    pub fn is_idle(&self) -> bool {
        self.keys.borrow().is_empty()
    }

    /// Waits until something has ended that the servers do not know of.
    pub async fn ended(&self) {
        while self.news.borrow().is_empty() {
            self.bell.notified().await;
        }
    }

    /// Some that have ended, for a call that is made anyway.
    fn take_ended(&self, key: Key) -> Vec<u64> {
        let mut keys = self.keys.borrow_mut();
        let ended = keys.get_mut(&key).map_or_else(Vec::new, |names| names.take_some(NAMES));
        self.untold.set(self.untold.get().saturating_sub(ended.len()));
        ended
    }

    /// Has the servers told that a request is over. Where too many are not told yet, its lease
    /// will end.
    fn end(&self, key: Key, number: u64, lease: Duration) {
        let untold = self.untold.get();
        let room = untold < ENDED;
        let mut keys = self.keys.borrow_mut();
        if keys.entry(key).or_insert_with(|| Names::new(lease)).end(number, room) {
            self.news.borrow_mut().push(key);
            self.bell.notify_one();
        }
        self.untold.set(untold + usize::from(room));
    }
}

/// A question that may have been answered with yes, though nobody heard it.
struct Asked<'a> {
    owner: &'a SharedConcurrency,
    key: Key,
    number: u64,
    lease: Duration,
    /// What it was to tell beside.
    ended: Vec<u64>,
    unsure: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.unsure {
            let all = self.ended.iter().chain([&self.number]);
            all.for_each(|number| self.owner.end(self.key, *number, self.lease));
        }
    }
}

impl Drop for SharedPermit {
    fn drop(&mut self) {
        // Its key is known: it is under way.
        self.owner.end(self.key, self.number, Duration::ZERO);
    }
}
