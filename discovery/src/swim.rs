//! SWIM with Lifeguard as a machine without input or output: what happened goes in, what is to be
//! done comes out, time and chance are arguments.
//!
//! See `docs/membership.md` for the protocol, its parameters and what it was seen to do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

mod aside;
mod belief;
mod chance;
pub mod codec;
mod effects;
mod gossip;
mod health;
mod member;
mod message;
mod order;
mod params;
mod probe;
mod report;
mod suspicion;
mod sync;
mod tell;
mod watch;

pub use chance::Chance;
pub use effects::{Change, Effects, Event, Input, Moment, Speak};
pub use member::{Id, META_BYTES_MAX, NAME_BYTES_MAX, Record, State};
pub use message::{Header, Kind, Mark, Profile, Speech, Stamp, Update, Witnesses};
pub use params::{InvalidParams, Params};
pub use report::{Belief, Load};
pub use sync::STREAM_BYTES_MAX;

use aside::Aside;
use effects::micros;
use gossip::Queue;
use health::Health;
use member::{Slot, Table};
use order::Order;
use probe::{Probe, Relay};
use suspicion::Suspicion;
use sync::Calls;
use watch::Watch;

/// Never.
const NEVER_US: u64 = u64::MAX;

/// One member's part in the protocol.
///
/// The caller hands in what happens with [`Swim::handle`], does what the [`Effects`] say, and calls
/// again with [`Input::Timeout`] no later than [`Swim::deadline`].
#[derive(Debug, Clone)]
pub struct Swim {
    params: Arc<Params>,
    me: Slot,
    id: Id,
    table: Table,
    queue: Queue,
    suspicions: Vec<Suspicion>,
    /// No suspicion ends before.
    suspicion_us: u64,
    gone: Vec<Gone>,
    health: Health,
    watch: Watch,
    order: Order,
    probes: Vec<Probe>,
    relays: Vec<Relay>,
    sequence: u32,
    calls: Calls,
    seeds: Vec<SocketAddr>,
    tick_us: u64,
    gossip_us: u64,
    gossiped_us: u64,
    gone_us: u64,
    wake_us: u64,
    phase: Phase,
    aside: Aside,
    malformed: u64,
    /// `z` at which phi suspects.
    suspect_z: f64,
}

/// A member that died or left, and when that was learnt.
#[derive(Debug, Clone, Copy)]
struct Gone {
    slot: Slot,
    since_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Member,
    Aside,
    Leaving,
    Silent,
}

/// Members that are taken to be alive at the start. Copies are cheap: records are shared.
#[derive(Debug, Clone)]
pub struct Roster(Table);

impl Roster {
    /// These members, each name once.
    #[must_use]
    pub fn of(records: &[Arc<Record>]) -> Self {
        let mut table = Table::with_capacity(records.len());
        for record in records {
            if table.find(record.id).is_none() {
                table.insert(Arc::clone(record), 0);
            }
        }
        Self(table)
    }
}

impl Swim {
    /// A member alone, that will join through `seeds`.
    #[must_use]
    pub fn new(
        params: Arc<Params>,
        record: Arc<Record>,
        seeds: &[SocketAddr],
        now: Moment,
        rng: &mut Chance,
    ) -> Self {
        Self::among(params, record, &Roster::of(&[]), seeds, now, rng)
    }

    /// A member that knows others already, as after a start from a list. It may be on it itself.
    #[must_use]
    pub fn among(
        params: Arc<Params>,
        record: Arc<Record>,
        others: &Roster,
        seeds: &[SocketAddr],
        now: Moment,
        rng: &mut Chance,
    ) -> Self {
        let now = now.micros();
        let period = micros(params.period);
        let id = record.id;
        let mut table = others.0.clone();
        let me = match table.find(id) {
            Some(slot) => {
                table.replace(slot, record);
                slot
            }
            None => table.insert(record, 0),
        };
        let watch = Watch::new(id, params.observers, &table, period, now);
        let mut swim = Self {
            me,
            id,
            table,
            queue: Queue::default(),
            suspicions: Vec::new(),
            suspicion_us: NEVER_US,
            gone: Vec::new(),
            health: Health::new(if params.lifeguard { params.health_max } else { 0 }),
            watch,
            order: Order::new(rng.number()),
            probes: Vec::new(),
            relays: Vec::new(),
            sequence: rng.number() as u32,
            calls: Calls::new(now, period, !seeds.is_empty(), rng),
            seeds: seeds.to_vec(),
            tick_us: now + rng.below(period),
            gossip_us: NEVER_US,
            gossiped_us: 0,
            gone_us: now + micros(params.gone_interval),
            wake_us: now,
            phase: Phase::Member,
            aside: Aside::default(),
            malformed: 0,
            suspect_z: crate::phi::deviations(params.phi_suspect),
            params,
        };
        swim.wake_us = swim.next_us();
        swim
    }

    /// Takes in what happened at `now` and appends what is to be done to `out`.
    pub fn handle(&mut self, input: Input<'_>, now: Moment, rng: &mut Chance, out: &mut Effects) {
        if self.phase == Phase::Silent {
            return;
        }
        let now = now.micros();
        self.notice_stall(now, out);
        match input {
            Input::Timeout => {}
            Input::Packet(from, bytes) => self.on_packet(from, bytes, now, rng, out),
            Input::Request(ticket, bytes) => self.on_request(ticket, bytes, now, rng, out),
            Input::Response(call, bytes) => self.on_response(call, bytes, now, rng, out),
            Input::Failed(call) => self.on_failed(call),
        }
        if self.phase == Phase::Silent {
            self.wake_us = NEVER_US;
            return;
        }
        if now >= self.wake_us.min(self.suspicion_us) {
            self.run_due(now, rng, out);
        }
        self.wake_us = self.next_us();
    }

    fn run_due(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        self.check_probes(now, rng, out);
        self.check_relays(now, out);
        self.check_edges(now, rng, out);
        if now >= self.suspicion_us {
            self.check_suspicions(now, rng, out);
        }
        if now >= self.tick_us {
            self.tick(now, rng, out);
        }
        if now >= self.gone_us {
            self.seek_gone(now, rng, out);
        }
        self.check_calls(now, rng, out);
        if now >= self.gossip_us {
            self.gossip(now, rng, out);
        }
    }

    fn next_us(&self) -> u64 {
        let probes = self.probes.iter().map(Probe::wake_us).min();
        let relays = self.relays.iter().map(Relay::wake_us).min();
        let edges = self.watch.edges.iter().map(|edge| edge.deadline_us).min();
        let gone = if self.gone.is_empty() { NEVER_US } else { self.gone_us };
        [self.tick_us, self.gossip_us, self.suspicion_us, gone, self.calls.wake_us()]
            .into_iter()
            .chain(probes)
            .chain(relays)
            .chain(edges)
            .min()
            .unwrap_or(NEVER_US)
    }

    /// When [`Swim::handle`] is to be called next at the latest.
    #[must_use]
    pub const fn deadline(&self) -> Moment {
        Moment::from_micros(self.wake_us)
    }

    /// Nothing called in time: the process stood still, or starved. What was silent meanwhile has
    /// an excuse, and the own health is worse.
    fn notice_stall(&mut self, now: u64, out: &mut Effects) {
        let late = now.saturating_sub(self.wake_us);
        if !self.params.lifeguard || late < micros(self.params.period) / 2 {
            return;
        }
        out.events.push(Event::Stalled(Duration::from_micros(late)));
        self.health.worsen(1 + u32::try_from(late / micros(self.params.period)).unwrap_or(8));
        for suspicion in &mut self.suspicions {
            suspicion.deadline_us = suspicion.deadline_us.saturating_add(late);
            suspicion.started_us = suspicion.started_us.saturating_add(late);
        }
        self.suspicion_us = self.suspicions.iter().map(|s| s.deadline_us).min().unwrap_or(NEVER_US);
        for edge in &mut self.watch.edges {
            edge.arrivals.excuse(late);
            edge.deadline_us = edge.deadline_us.saturating_add(late);
        }
        self.probes.clear();
        self.relays.clear();
        self.tick_us = self.tick_us.max(now);
    }

    /// Says to all that it goes. Call [`Swim::handle`] as usual until [`Swim::has_left`].
    pub fn leave(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Member | Phase::Aside) {
            self.phase = Phase::Leaving;
            self.queue.push(self.me, 0, self.params.queue_max);
            self.gossip_us = now.micros();
            self.wake_us = self.wake_us.min(self.gossip_us);
        }
    }

    /// Whether [`Swim::leave`] was called and enough members were told.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.phase == Phase::Leaving && self.queue.is_empty()
    }

    /// Replaces what the operator attached, and tells the others. Too long, it is refused.
    #[must_use]
    pub fn set_meta(&mut self, meta: &[u8], now: Moment) -> bool {
        if meta.len() > META_BYTES_MAX {
            return false;
        }
        let Some(record) = self.table.record(self.me) else { return false };
        let record = Record { meta: meta.into(), ..Record::clone(record) };
        self.table.replace(self.me, Arc::new(record));
        if self.phase == Phase::Member {
            self.raise(self.table.incarnation(self.me));
            self.spread(self.me, now.micros(), 0);
        }
        self.wake_us = self.next_us();
        true
    }

    /// Replaces the addresses through which it joins, and finds who it lost sight of.
    pub fn set_seeds(&mut self, seeds: Vec<SocketAddr>) {
        let new = seeds.iter().any(|seed| !self.seeds.contains(seed));
        self.seeds = seeds;
        if new {
            self.calls.ask_seeds();
            self.wake_us = self.next_us();
        }
    }
}

#[cfg(test)]
mod tests;
