//! Which endpoints of an upstream are in use: what all workers know together of their health.
//!
//! Workers report runs of failures, the control thread the results of checks; either changes the
//! shares by which endpoints are picked
//! ([`EndpointLoad::share`](super::load::EndpointLoad::share)). A pick reads one word here, and
//! while that is [`Mode::Shares`] one of each endpoint it considers. The lock is for those who
//! change something, and who look. A roster is carried over reloads by its upstream's name, what
//! it remembers of an endpoint by the address.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::sync::Notify;
use weir_config::model::{HealthCheck, Outlier, Upstream};

use super::{
    endpoint::Endpoint,
    health::Health,
    load::WHOLE_SHARE,
    outlier::{Ejections, Record},
};
use crate::clock::Tick;

mod event;
mod report;
#[cfg(test)]
mod tests;

use event::Event;
pub use report::{EndpointReport, Report, State};

/// The share that a ramp begins with.
const FIRST_SHARE: u32 = WHOLE_SHARE / 10;
/// Steps of a ramp, as long as none is shorter or longer than these.
const RAMP_STEPS: u32 = 50;
const STEP_LEAST: Duration = Duration::from_millis(10);
const STEP_MOST: Duration = Duration::from_secs(1);
/// First ejection for a while after all endpoints failed at once: they come back one by one, and
/// the last of them is needed as well.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How endpoints are to be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All are in use, with all of their share.
    Whole,
    /// By their shares.
    Shares,
    /// Fewer than half of them are well: all are asked, since to ask so few would overwhelm them.
    Panic,
}

/// See the module's page.
#[derive(Debug)]
pub struct Roster {
    name: Arc<str>,
    mode: AtomicU8,
    /// Failures in a row that eject an endpoint; more than anybody counts when ejection is off.
    limit: AtomicU32,
    inner: Mutex<Inner>,
    /// For the control thread: something is due earlier than it was.
    hurry: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    outlier: Option<Outlier>,
    check: Option<HealthCheck>,
    slow_start: Option<Duration>,
    members: Vec<Member>,
    /// In the order of the members.
    ejections: Ejections,
    panic: bool,
    /// When all endpoints were found failing last.
    outage: Option<Tick>,
    /// To be logged once the lock is given back.
    events: Vec<Event>,
}

/// One endpoint.
#[derive(Debug)]
struct Member {
    endpoint: Arc<Endpoint>,
    health: Health,
    /// Why a check failed last.
    reason: Box<str>,
    /// Since when it is in use, or unhealthy.
    since: Tick,
    /// When it was ejected last, and after how many failures in a row.
    ejected: (Tick, u32),
    /// When its share began to grow.
    ramp: Option<Tick>,
    /// What part of its share others leave it who hear of it, up to [`WHOLE_SHARE`].
    regard: u32,
    ejections: u64,
    passed: u64,
    failed: u64,
}

impl Member {
    fn new(endpoint: Arc<Endpoint>, now: Tick) -> Self {
        Self {
            endpoint,
            health: Health::new(),
            reason: Box::default(),
            since: now,
            ejected: (now, 0),
            ramp: None,
            regard: WHOLE_SHARE,
            ejections: 0,
            passed: 0,
            failed: 0,
        }
    }
}

impl Roster {
    /// Nobody is on it yet.
    pub fn new(name: Arc<str>) -> Self {
        Self {
            name,
            mode: AtomicU8::new(Mode::Whole as u8),
            limit: AtomicU32::new(u32::MAX),
            inner: Mutex::default(),
            hurry: Notify::new(),
        }
    }

    /// Takes over the settings of `config` and these endpoints of its. What is known of those that
    /// were there before is kept; newcomers among them begin with a small share where that is asked
    /// for.
    pub fn adjust(&self, config: &Upstream, endpoints: &[Arc<Endpoint>], now: Tick) {
        let mut inner = self.lock();
        let before = mem::take(&mut inner.members);
        let first = before.is_empty();
        let ejections = mem::take(&mut inner.ejections);
        let mut known: HashMap<*const Endpoint, (Member, Record)> = HashMap::new();
        for (index, member) in before.into_iter().enumerate() {
            known.insert(Arc::as_ptr(&member.endpoint), (member, ejections.record(index)));
        }
        let mut records = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let (member, record) = known.remove(&Arc::as_ptr(endpoint)).unwrap_or_else(|| {
                let mut member = Member::new(endpoint.clone(), now);
                member.ramp = Some(now).filter(|_| !first);
                (member, Record::default())
            });
            inner.members.push(member);
            records.push(record);
        }
        inner.outlier = config.outlier;
        inner.slow_start = config.slow_start;
        inner.check.clone_from(&config.health);
        if inner.check.is_none() {
            for member in &mut inner.members {
                member.health = Health::new();
            }
        }
        inner.ejections = Ejections::new(records, config.outlier.as_ref(), now);
        let limit = config.outlier.map_or(u32::MAX, |outlier| outlier.consecutive_failures);
        self.limit.store(limit, Relaxed);
        self.settle(inner, now);
        self.hurry.notify_one();
    }

    /// How to pick.
    pub fn mode(&self) -> Mode {
        match self.mode.load(Relaxed) {
            mode if mode == Mode::Whole as u8 => Mode::Whole,
            mode if mode == Mode::Shares as u8 => Mode::Shares,
            _ => Mode::Panic,
        }
    }

    /// An endpoint has failed so many requests in a row. Every so many it is tried to eject it:
    /// where that is not allowed it will be tried again, but not with each request.
    pub fn failed(&self, endpoint: &Arc<Endpoint>, run: u32, now: Tick) {
        let limit = self.limit.load(Relaxed);
        if run >= limit && run.is_multiple_of(limit) {
            self.eject(endpoint, run, now);
        }
    }

    #[cold]
    fn eject(&self, endpoint: &Arc<Endpoint>, run: u32, now: Tick) {
        let mut inner = self.lock();
        let Some(outlier) = inner.outlier else { return };
        let Some(index) = inner.position(endpoint) else { return };
        // One that the checks have taken out of use is not to take another's place.
        if !inner.members[index].health.is_healthy() {
            return;
        }
        if !inner.others_succeed(index) {
            inner.spare_all(outlier.ejection, now);
            self.settle(inner, now);
            return;
        }
        let aftermath = inner.outage.is_some_and(|outage| now.since(outage) < outlier.ejection);
        let ejection = if aftermath { AFTERMATH } else { outlier.ejection };
        let outlier = Outlier { ejection: ejection.min(outlier.ejection), ..outlier };
        let Some(until) = inner.ejections.eject(index, &outlier, now) else { return };
        let member = &mut inner.members[index];
        member.ejections += 1;
        member.ejected = (now, run);
        let event = Event::ejected(member, until.since(now));
        inner.events.push(event);
        self.settle(inner, now);
        self.hurry.notify_one();
    }

    /// A check of an endpoint has passed, or why not. How long to wait for the next; `None` when
    /// there is to be none.
    pub fn checked(
        &self,
        endpoint: &Arc<Endpoint>,
        result: Result<(), String>,
        rng: &mut Rng,
        now: Tick,
    ) -> Option<Duration> {
        let mut inner = self.lock();
        let check = inner.check.clone()?;
        let index = inner.position(endpoint)?;
        let ejected = inner.ejections.record(index).until().is_some();
        let member = &mut inner.members[index];
        let count = if result.is_ok() { &mut member.passed } else { &mut member.failed };
        *count += 1;
        let changed = member.health.record(result.is_ok(), &check);
        let pause = member.health.pause(&check, rng);
        if changed {
            member.since = now;
            if let Err(reason) = result {
                member.reason = reason.into();
            } else if !ejected {
                member.come_back(now);
            }
            let event = Event::checked(member);
            inner.events.push(event);
            self.settle(inner, now);
            self.hurry.notify_one();
        }
        Some(pause)
    }

    /// Leaves these endpoints only so much of their shares, and all others all of it: what is heard
    /// of them beside requests and checks. Nobody is taken out of use by it.
    pub fn regard(&self, lessened: &[(Arc<Endpoint>, u32)], now: Tick) {
        let mut inner = self.lock();
        let mut changed = false;
        for member in &mut inner.members {
            let less = lessened.iter().find(|(one, _)| Arc::ptr_eq(one, &member.endpoint));
            let regard = less.map_or(WHOLE_SHARE, |(_, regard)| (*regard).clamp(1, WHOLE_SHARE));
            changed |= mem::replace(&mut member.regard, regard) != regard;
        }
        if changed {
            self.settle(inner, now);
        }
    }

    /// Does what is due; when it is to be called again, unless [`Self::hurry`] comes first.
    pub fn refresh(&self, now: Tick) -> Tick {
        let mut inner = self.lock();
        let Inner { members, ejections, events, .. } = &mut *inner;
        let back = |index: usize| {
            let member: &mut Member = &mut members[index];
            if member.health.is_healthy() {
                member.since = now;
                member.come_back(now);
                events.push(Event::returned(member));
            }
        };
        ejections.release(back, now);
        self.settle(inner, now)
    }

    /// Waits until something is due earlier than the latest [`Self::refresh`] said.
    pub async fn hurry(&self) {
        self.hurry.notified().await;
    }

    /// Works out shares and mode, and lets go of the lock. When something is due next.
    fn settle(&self, mut inner: MutexGuard<'_, Inner>, now: Tick) -> Tick {
        let Inner { members, ejections, slow_start, .. } = &mut *inner;
        let (mut available, mut partial) = (0, false);
        let mut next = ejections.next().unwrap_or(Tick::NEVER);
        for (index, member) in members.iter_mut().enumerate() {
            let out = !member.health.is_healthy() || ejections.record(index).until().is_some();
            member.ramp = member.ramp.filter(|_| !out);
            let share = if out { 0 } else { member.regarded(*slow_start, now) };
            if let Some(length) = slow_start.filter(|_| member.ramp.is_some()) {
                next = next.min(now + (length / RAMP_STEPS).clamp(STEP_LEAST, STEP_MOST));
            }
            available += usize::from(!out);
            partial |= share < WHOLE_SHARE;
            member.endpoint.load.set_share(share);
        }
        let panic = 2 * available < members.len();
        let mode = match (panic, partial) {
            (true, _) => Mode::Panic,
            (false, true) => Mode::Shares,
            (false, false) => Mode::Whole,
        };
        self.mode.store(mode as u8, Relaxed);
        if mem::replace(&mut inner.panic, panic) != panic {
            let of = inner.members.len();
            inner.events.push(Event::Panic { begins: panic, available, of });
        }
        let events = mem::take(&mut inner.events);
        drop(inner);
        for event in events {
            event.log(&self.name);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panic in between leaves is put right by the next change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn position(&self, endpoint: &Arc<Endpoint>) -> Option<usize> {
        self.members.iter().position(|member| Arc::ptr_eq(&member.endpoint, endpoint))
    }

    /// Whether another endpoint in use has answered well since this one's failures began, and since
    /// all failed last. If none has, there is no better place for the requests, and the fault is
    /// hardly this endpoint's own.
    fn others_succeed(&self, index: usize) -> bool {
        let began = self.members[index].endpoint.load.run_began();
        let began = self.outage.map_or(began, |outage| began.max(outage));
        self.members.iter().enumerate().any(|(other, member)| {
            other != index
                && member.health.is_healthy()
                && self.ejections.record(other).until().is_none()
                && member.endpoint.load.has_succeeded_since(began)
        })
    }

    /// Ends all ejections: while every endpoint fails, each of them is as good as any other, and
    /// the first to come back is not to come back alone.
    fn spare_all(&mut self, ejection: Duration, now: Tick) {
        if self.outage.is_none_or(|outage| now.since(outage) >= ejection) {
            self.events.push(Event::Outage { of: self.members.len() });
        }
        self.outage = Some(now);
        let (members, events) = (&mut self.members, &mut self.events);
        let back = |index: usize| {
            let member: &mut Member = &mut members[index];
            if member.health.is_healthy() {
                member.since = now;
                events.push(Event::returned(member));
            }
        };
        self.ejections.release_all(back, now);
    }
}

impl Member {
    /// Why it is ejected.
    fn failures(&self) -> Box<str> {
        format!("{} failures in a row", self.ejected.1).into()
    }

    /// In use again: with a clean slate, and where that is asked for a small share.
    fn come_back(&mut self, now: Tick) {
        self.ramp = Some(now);
        self.endpoint.load.forgive();
    }

    /// Its share, less what is heard of it; never nothing.
    fn regarded(&mut self, slow_start: Option<Duration>, now: Tick) -> u32 {
        let share = u64::from(self.share(slow_start, now)) * u64::from(self.regard);
        ((share / u64::from(WHOLE_SHARE)) as u32).max(1)
    }

    /// The share that its ramp has come to; the end of a ramp ends it.
    fn share(&mut self, slow_start: Option<Duration>, now: Tick) -> u32 {
        let Some((began, length)) = self.ramp.zip(slow_start) else {
            self.ramp = None;
            return WHOLE_SHARE;
        };
        let share = ramp(now.since(began), length);
        if share >= WHOLE_SHARE {
            self.ramp = None;
        }
        share
    }
}

/// From a tenth to the whole, in a straight line.
fn ramp(age: Duration, length: Duration) -> u32 {
    let done = age.as_secs_f64() / length.as_secs_f64();
    if done >= 1.0 {
        return WHOLE_SHARE;
    }
    FIRST_SHARE + (f64::from(WHOLE_SHARE - FIRST_SHARE) * done) as u32
}
