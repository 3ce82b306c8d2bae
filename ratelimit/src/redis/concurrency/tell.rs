//! What servers are told of requests under way, and asked.

use std::{
    collections::{HashSet, hash_map::Entry},
    time::Duration,
};

use futures_util::future::join_all;
use smallvec::SmallVec;

use super::{Asked, ENDED, SharedConcurrency, later, names::News};
use crate::{
    key::Key,
    moment::Nanos,
    redis::{
        link::Trouble,
        name::{Name, Numbers},
        script::{Call, Script},
        wait::Wait,
    },
};

/// Both can be sent again: names are counted once, however often they are said.
static BEGIN: Script = Script::new(BEGIN_TEXT).repeatable();
static TEND: Script = Script::new(TEND_TEXT).repeatable();
pub(super) const BEGIN_TEXT: &str = include_str!("../../lua/begin.lua");
pub(super) const TEND_TEXT: &str = include_str!("../../lua/tend.lua");

/// Names in one call.
pub(super) const NAMES: usize = 256;
/// Calls at once.
const CALLS: usize = 256;
/// How often, at most, those that live are looked through for some to renew.
const LOOK_MIN: Duration = Duration::from_millis(10);

impl SharedConcurrency {
    /// Tells the servers what has ended, and what has not where a third of its lease has gone by
    /// since they last heard of it; again what they could not be told, for as long as a lease. To
    /// be called when [something has ended](Self::ended), and some ten times a lease, by each
    /// worker.
    pub async fn tend(&self, now: Nanos) {
        let mut told = self.news.take();
        let mut due = HashSet::new();
        if self.look_at.get() <= now {
            self.look_at.set(later(now, (self.shortest.get() / 10).max(LOOK_MIN)));
            let keys = self.keys.borrow();
            due.extend(keys.iter().filter(|(_, names)| names.is_due(now)).map(|(key, _)| *key));
        }
        // Both in their turn: of a server that was away one call only is to find out how it is.
        told.retain(|key| !due.contains(key));
        let told: Vec<_> = told.into_iter().map(|key| (key, false)).collect();
        let told = [told, due.into_iter().map(|key| (key, true)).collect()].concat();
        for some in told.chunks(CALLS) {
            join_all(some.iter().map(|(key, renew)| self.tell_of(*key, *renew, now))).await;
        }
    }

    /// Tells the servers that all is over, at the end of a worker: the places of what it still has
    /// under way are free at once. Whoever waits for this should not for long.
    pub async fn end_all(&self, now: Nanos) {
        let all: Vec<_> = self.keys.borrow().iter().map(|(key, it)| (*key, it.copy())).collect();
        for (key, numbers) in all {
            numbers.into_iter().for_each(|number| self.end(key, number, Duration::ZERO));
        }
        self.tend(now).await;
    }

    /// Tells the server of a key what is new of it; with `renew` what is not, too.
    async fn tell_of(&self, key: Key, renew: bool, now: Nanos) {
        let News { ended, under_way, lease, kept } = match self.keys.borrow_mut().get_mut(&key) {
            Some(names) => names.take_news(renew, now),
            None => return,
        };
        self.untold.set(self.untold.get().saturating_sub(kept));
        let (mut heard, mut missed) = (true, Vec::new());
        for some in ended.chunks(NAMES) {
            let numbers = some.iter().map(|(number, _)| *number);
            if self.tell(key, lease, 0, numbers, now).await.is_err() {
                missed.extend_from_slice(some);
            }
        }
        for some in under_way.chunks(NAMES) {
            // What has ended meanwhile may have been told with another call, and is not to come
            // back.
            let live = self.still(key, some);
            let numbers = live.iter().copied();
            heard &= self.tell(key, lease, live.len(), numbers, now).await.is_ok();
        }
        let mut keys = self.keys.borrow_mut();
        if let Entry::Occupied(mut entry) = keys.entry(key) {
            let names = entry.get_mut();
            missed.truncate(ENDED.saturating_sub(self.untold.get()));
            self.untold.set(self.untold.get() + missed.len());
            names.miss(&missed);
            if renew && heard {
                names.renew(now);
            }
            if names.is_empty() {
                entry.remove();
            }
        }
    }

    /// Those of `some` that are still under way.
    fn still(&self, key: Key, some: &[u64]) -> Vec<u64> {
        let keys = self.keys.borrow();
        keys.get(&key).map_or_else(Vec::new, |names| names.still(some))
    }

    /// Whether a request may begin, and how many are under way then.
    pub(super) async fn begin(
        &self,
        asked: &Asked<'_>,
        max: u32,
        now: Nanos,
    ) -> Result<(bool, u32), Trouble> {
        let numbers = Numbers::new([i64::from(max), micros(asked.lease)]);
        let names = [asked.number].into_iter().chain(asked.ended.iter().copied());
        let names: SmallVec<[_; 4]> = names.map(|number| self.name(number)).collect();
        let mut arguments = numbers.bytes();
        arguments.extend(names.iter().map(|name| &name[..]));
        let sound = |reply: redis::Value| {
            let [passes, under_way] = redis::from_redis_value::<[i64; 2]>(reply).ok()?;
            Some((passes == 1, u32::try_from(under_way).ok()?))
        };
        self.run(&BEGIN, asked.key, &arguments, sound, now).await
    }

    /// Tells of some: the first `live` are still under way, the others have ended.
    async fn tell(
        &self,
        key: Key,
        lease: Duration,
        live: usize,
        numbers: impl Iterator<Item = u64>,
        now: Nanos,
    ) -> Result<(), Trouble> {
        let names: SmallVec<[_; 4]> = numbers.map(|number| self.name(number)).collect();
        // At most so many as are told at once.
        let numbers = Numbers::new([micros(lease), live as i64]);
        let mut arguments = numbers.bytes();
        arguments.extend(names.iter().map(|name| &name[..]));
        let sound = |reply| (reply == redis::Value::Int(1)).then_some(());
        self.run(&TEND, key, &arguments, sound, now).await
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
        let wait = Wait::new(self.runner.servers().timeout());
        self.runner.run_at(place, &Call::new(script, &keys, arguments), wait, sound, now).await
    }

    /// What servers call one of this worker's requests.
    fn name(&self, number: u64) -> [u8; 16] {
        ((u128::from(self.who) << 64) | u128::from(number)).to_be_bytes()
    }
}

fn micros(lease: Duration) -> i64 {
    // A year of microseconds is far below where numbers cease to be whole.
    i64::try_from(lease.as_micros().min(1 << 45)).unwrap_or(1 << 45)
}
