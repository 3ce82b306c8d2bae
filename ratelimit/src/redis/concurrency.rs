//! How many requests of one key may be under way at once, at all gateways together.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt, mem,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;

use super::{
    limit::OnFailure,
    link::Trouble,
    name::{Name, Numbers},
    runner::Runner,
    script::{Call, Script},
    servers::Servers,
};
use crate::{
    concurrency::{Busy, Concurrency, Permit},
    key::Key,
    moment::Nanos,
};

#[cfg(test)]
mod tests;

/// Both can be sent again: names are counted once, however often they are said.
static BEGIN: Script = Script::new(BEGIN_TEXT).repeatable();
static TEND: Script = Script::new(TEND_TEXT).repeatable();
const BEGIN_TEXT: &str = include_str!("../lua/begin.lua");
const TEND_TEXT: &str = include_str!("../lua/tend.lua");

/// Names in one call.
const NAMES: usize = 256;
/// Names of one key that the servers are to be told have ended.
const ENDED: usize = 4_096;

/// Requests under way per key, counted on servers for all gateways, as one worker sees them.
///
/// Never are more under way than may be, as far as the servers remember: each request has a lease
/// there, which [`SharedConcurrency::tend`] renews. What a gateway had under way when it died, or
/// lost its servers, counts until its leases end; a gateway that stalls for longer than a lease is
/// counted again when it goes on. Servers that have forgotten all, or have been away, are told at
/// the next renewal what is under way, even if that is more than may be.
///
/// Not to be shared by threads, nor used outside of one tokio runtime.
pub struct SharedConcurrency {
    runner: Runner,
    lease: Duration,
    fallback: Arc<Concurrency>,
    /// Chosen at random: what tells the names of one worker from those of all others.
    who: u64,
    count: Cell<u64>,
    tended: Cell<Option<Nanos>>,
    keys: RefCell<HashMap<Key, Names>>,
}

/// The numbers of one key's requests.
#[derive(Debug, Default)]
struct Names {
    under_way: Vec<u64>,
    /// The servers do not know yet.
    ended: Vec<u64>,
}

/// How a limit on requests under way is asked.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// How many there may be.
    pub max: u32,
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
        f.debug_struct("SharedConcurrency").field("runner", &self.runner).finish_non_exhaustive()
    }
}

impl fmt::Debug for SharedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPermit").field("key", &self.key).finish_non_exhaustive()
    }
}

impl SharedConcurrency {
    /// Counts requests on `servers`, in leases of `lease` (some seconds), for one worker; what is
    /// under way is counted in `fallback` as well, which all workers should share. Nothing is sent
    /// yet. `rng` must not begin as that of another worker does, here or elsewhere.
    pub fn new(
        servers: Arc<Servers>,
        fallback: Arc<Concurrency>,
        lease: Duration,
        mut rng: fastrand::Rng,
    ) -> Rc<Self> {
        let who = rng.u64(..);
        Rc::new(Self {
            runner: Runner::new(servers, rng),
            lease: lease.max(Duration::from_millis(1)),
            fallback,
            who,
            count: Cell::default(),
            tended: Cell::default(),
            keys: RefCell::default(),
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
        let mut asked = Asked { owner: self, key, number, unsure: true };
        let begun = self.begin(key, number, room.max, now).await;
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
        self.keys.borrow_mut().entry(key).or_default().under_way.push(number);
        Ok(SharedPermit { owner: Rc::clone(self), key, number, _local: local })
    }

    /// How many requests of `key` this worker has under way.
    pub fn under_way(&self, key: Key) -> usize {
        self.keys.borrow().get(&key).map_or(0, |names| names.under_way.len())
    }

    /// Tells the servers what has ended, and, when a third of a lease has gone by since the last
    /// time, what has not. To be called some ten times a lease, by each worker.
    pub async fn tend(&self, now: Nanos) {
        let since = |tended: Nanos| now.get().saturating_sub(tended.get());
        let third = Nanos::from(self.lease).get() / 3;
        let due = self.tended.get().is_none_or(|tended| since(tended) >= third);
        if due {
            self.tended.set(Some(now));
        }
        let mut told = Vec::new();
        self.keys.borrow_mut().retain(|key, names| {
            let under_way = if due { names.under_way.clone() } else { Vec::new() };
            let ended = mem::take(&mut names.ended);
            if !under_way.is_empty() || !ended.is_empty() {
                told.push((*key, under_way, ended));
            }
            !names.under_way.is_empty()
        });
        for keys in told.chunks(NAMES) {
            let calls = keys.iter().flat_map(|(key, under_way, ended)| {
                let under_way = under_way.chunks(NAMES).map(|some| (some, &[][..]));
                let ended = ended.chunks(NAMES).map(|some| (&[][..], some));
                under_way.chain(ended).map(|(under_way, ended)| (*key, under_way, ended))
            });
            let calls = calls.map(|(key, under_way, ended)| self.tell(key, under_way, ended, now));
            join_all(calls).await;
        }
    }

    /// Whether a request may begin, and how many are under way then.
    async fn begin(
        &self,
        key: Key,
        number: u64,
        max: u32,
        now: Nanos,
    ) -> Result<(bool, u32), Trouble> {
        let ended = self.take_ended(key);
        let numbers = Numbers::new([i64::from(max), self.lease_micros()]);
        let names: Vec<String> =
            [number].iter().chain(&ended).map(|number| self.name(*number)).collect();
        let mut arguments = numbers.bytes();
        arguments.extend(names.iter().map(String::as_bytes));
        let sound = |reply: redis::Value| {
            let [passes, under_way] = redis::from_redis_value::<[i64; 2]>(reply).ok()?;
            Some((passes == 1, u32::try_from(under_way).ok()?))
        };
        self.run(&BEGIN, key, &arguments, sound, now).await
    }

    async fn tell(&self, key: Key, under_way: &[u64], ended: &[u64], now: Nanos) {
        // At most so many as are told at once.
        let numbers = Numbers::new([self.lease_micros(), under_way.len() as i64]);
        let names: Vec<String> =
            under_way.iter().chain(ended).map(|number| self.name(*number)).collect();
        let mut arguments = numbers.bytes();
        arguments.extend(names.iter().map(String::as_bytes));
        let sound = |reply| (reply == redis::Value::Int(1)).then_some(());
        // What has ended counts until its lease ends, and what has not is said again in time.
        let _ = self.run(&TEND, key, &arguments, sound, now).await;
    }

    async fn run<T>(
        &self,
        script: &'static Script,
        key: Key,
        arguments: &[&[u8]],
        sound: impl Fn(redis::Value) -> Option<T>,
        now: Nanos,
    ) -> Result<T, Trouble> {
        let name = Name::new(key);
        let (place, set) = (self.runner.place(name.bytes()), name.with(*b":c"));
        let keys = [&set[..]];
        let patience = self.runner.servers().options.timeout;
        self.runner.run_at(place, &Call::new(script, &keys, arguments), patience, sound, now).await
    }

    /// Some that have ended, for a call that is made anyway.
    fn take_ended(&self, key: Key) -> Vec<u64> {
        let mut keys = self.keys.borrow_mut();
        keys.get_mut(&key).map_or_else(Vec::new, |names| {
            let rest = names.ended.len().saturating_sub(NAMES);
            names.ended.split_off(rest)
        })
    }

    /// Has the servers told that a request is over. Where too many are not told yet, its lease
    /// will end.
    fn end(&self, key: Key, number: u64) {
        let mut keys = self.keys.borrow_mut();
        let names = keys.entry(key).or_default();
        if let Some(place) = names.under_way.iter().position(|other| *other == number) {
            names.under_way.swap_remove(place);
        }
        if names.ended.len() < ENDED {
            names.ended.push(number);
        }
    }

    fn name(&self, number: u64) -> String {
        format!("{:016x}{number:x}", self.who)
    }

    fn lease_micros(&self) -> i64 {
        // A year of microseconds is far below where numbers cease to be whole.
        i64::try_from(self.lease.as_micros().min(1 << 45)).unwrap_or(1 << 45)
    }
}

/// A question that may have been answered with yes, though nobody heard it.
struct Asked<'a> {
    owner: &'a SharedConcurrency,
    key: Key,
    number: u64,
    unsure: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.unsure {
            self.owner.end(self.key, self.number);
        }
    }
}

impl Drop for SharedPermit {
    fn drop(&mut self) {
        self.owner.end(self.key, self.number);
    }
}
