//! A world of members in one thread: a queue of what happens when, a network that loses, delays,
//! reorders and doubles, and faults of every kind, all from one seed. A run that broke something
//! breaks it again.
//!
//! After each step the invariants are checked that no schedule may break: see [`World::broken`].

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use crate::swim::{
    Chance, Effects, Event, Id, Input, Moment, Params, Record, Roster, Speak, State, Swim, codec,
};

mod invariants;
mod network;
mod node;
pub mod scenario;

use invariants::Invariants;
pub use network::Network;
use node::Held;
pub use node::{Meter, Node};

/// A second, in the unit of the simulated clock.
pub const SECOND: u64 = 1_000_000;
/// The port that members listen on first; each new address is a port further.
const PORT: u16 = 7946;
/// When members start: as many digits on the wire as a generation has in our time.
const BORN: u64 = 1_790_000_000_000;

/// Somebody changed its mind about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When, in microseconds.
    pub at_us: u64,
    /// Who.
    pub observer: usize,
    /// About whom.
    pub subject: usize,
    /// To what.
    pub state: State,
    /// From what.
    pub was: Option<State>,
}

/// What was sent and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Packets that members sent.
    pub packets: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Streams that members opened.
    pub streams: u64,
    /// Bytes said over them, both ways.
    pub stream_bytes: u64,
    /// Things that happened in the world.
    pub events: u64,
}

#[derive(Debug)]
enum Happening {
    Wake(usize),
    Packet { from: SocketAddr, to: SocketAddr, bytes: Box<[u8]> },
    Request { caller: usize, epoch: u32, call: u64, to: usize, body: Vec<u8> },
    Response { caller: usize, epoch: u32, call: u64, body: Vec<u8> },
    Failed { caller: usize, epoch: u32, call: u64 },
}

/// The world.
#[derive(Debug)]
pub struct World {
    now_us: u64,
    serial: u64,
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    happenings: Vec<Option<Happening>>,
    free: Vec<u32>,
    params: Arc<Params>,
    /// The members, running or not.
    pub nodes: Vec<Node>,
    by_id: HashMap<Id, usize>,
    /// What the network does to all that is sent.
    pub network: Network,
    rng: Chance,
    tickets: HashMap<u64, (usize, u32, u64)>,
    ticket: u64,
    effects: Effects,
    /// What was believed when, but for what is of no interest: see [`World::keep_suspicions`].
    pub seen: Vec<Seen>,
    /// Whether [`World::seen`] also holds who was only suspected.
    pub keep_suspicions: bool,
    /// How many times a member stepped aside.
    pub asides: u64,
    /// What was sent and done so far.
    pub traffic: Traffic,
    invariants: Invariants,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(params: Params, network: Network, seed: u64) -> Self {
        Self {
            now_us: 0,
            serial: 0,
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            free: Vec::new(),
            params: Arc::new(params),
            nodes: Vec::new(),
            by_id: HashMap::new(),
            network,
            rng: Chance::seeded(seed),
            tickets: HashMap::new(),
            ticket: 0,
            effects: Effects::default(),
            seen: Vec::new(),
            keep_suspicions: false,
            asides: 0,
            traffic: Traffic::default(),
            invariants: Invariants::default(),
        }
    }

    /// A world of so many members that know each other, as after a long quiet time.
    #[must_use]
    pub fn settled(params: Params, network: Network, nodes: usize, seed: u64) -> Self {
        let mut world = Self::new(params, network, seed);
        let records: Vec<_> = (0..nodes).map(|at| Arc::new(record(at, PORT, BORN, &[]))).collect();
        let roster = Roster::of(&records);
        for record in records {
            world.add(record, &roster, &[]);
        }
        world
    }

    /// Adds a member that will join through `seeds` from now on; its number.
    pub fn join(&mut self, seeds: &[usize]) -> usize {
        let record = Arc::new(record(self.nodes.len(), PORT, BORN, &[]));
        let seeds: Vec<_> = seeds.iter().map(|seed| addr(*seed, PORT)).collect();
        self.add(record, &Roster::of(&[]), &seeds)
    }

    fn add(&mut self, record: Arc<Record>, roster: &Roster, seeds: &[SocketAddr]) -> usize {
        let at = self.nodes.len();
        let mut rng = Chance::seeded(self.rng.number());
        let now = Moment::from_micros(self.now_us);
        self.by_id.insert(record.id, at);
        let params = Arc::clone(&self.params);
        let swim = Swim::among(params, Arc::clone(&record), roster, seeds, now, &mut rng);
        self.nodes.push(Node::new(swim, record, rng));
        self.reschedule(at);
        at
    }

    /// The simulated time, in microseconds.
    #[must_use]
    pub const fn now_us(&self) -> u64 {
        self.now_us
    }

    /// What members run with.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What broke: empty, or the world is not as it must be.
    #[must_use]
    pub fn broken(&self) -> &[String] {
        self.invariants.broken()
    }

    /// Lets the world run until `until_us`.
    pub fn run(&mut self, until_us: u64) {
        while let Some(Reverse((at, _, _))) = self.queue.peek()
            && *at <= until_us
        {
            self.step();
        }
        self.now_us = self.now_us.max(until_us);
    }

    /// Lets the world run until `done` says so, asked every `every_us`, or until `until_us`;
    /// whether it did.
    pub fn run_until(
        &mut self,
        until_us: u64,
        every_us: u64,
        mut done: impl FnMut(&Self) -> bool,
    ) -> bool {
        while self.now_us < until_us {
            self.run((self.now_us + every_us).min(until_us));
            if done(self) {
                return true;
            }
        }
        false
    }

    fn step(&mut self) {
        let Some(Reverse((at, _, cell))) = self.queue.pop() else { return };
        self.now_us = self.now_us.max(at);
        self.traffic.events += 1;
        let happening = self.happenings[cell as usize].take();
        self.free.push(cell);
        match happening {
            Some(Happening::Wake(node)) => self.wake(node, at),
            Some(Happening::Packet { from, to, bytes }) => {
                if let Some(node) = self.node_at(to) {
                    self.give(node, Held::Packet(from, bytes));
                }
            }
            Some(Happening::Request { caller, epoch, call, to, body }) => {
                self.ticket += 1;
                self.tickets.insert(self.ticket, (caller, epoch, call));
                self.give(to, Held::Request(self.ticket, body));
            }
            Some(Happening::Response { caller, epoch, call, body })
                if self.nodes[caller].epoch == epoch =>
            {
                self.give(caller, Held::Response(call, body));
            }
            Some(Happening::Failed { caller, epoch, call })
                if self.nodes[caller].epoch == epoch =>
            {
                self.give(caller, Held::Failed(call));
            }
            // What a process of before was waiting for.
            Some(Happening::Response { .. } | Happening::Failed { .. }) | None => {}
        }
    }

    fn push(&mut self, at: u64, happening: Happening) {
        let cell = self.free.pop().unwrap_or_else(|| {
            self.happenings.push(None);
            self.happenings.len() as u32 - 1
        });
        self.happenings[cell as usize] = Some(happening);
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial, cell)));
    }

    /// Who listens there.
    fn node_at(&self, addr: SocketAddr) -> Option<usize> {
        let IpAddr::V4(ip) = addr.ip() else { return None };
        let at = (u32::from(ip) & 0x00ff_ffff) as usize;
        self.nodes.get(at).filter(|node| node.record.addr == addr && node.swim.is_some())?;
        Some(at)
    }

    fn wake(&mut self, at: usize, due: u64) {
        let node = &mut self.nodes[at];
        if node.scheduled_us != due {
            return;
        }
        node.scheduled_us = u64::MAX;
        let Some(swim) = node.swim.as_ref().filter(|_| !node.paused) else { return };
        if swim.deadline().micros() <= self.now_us {
            self.handle(at, Input::Timeout);
        } else {
            self.reschedule(at);
        }
    }

    fn reschedule(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(swim) = &node.swim else { return };
        let due = swim.deadline().micros().max(self.now_us);
        if due < node.scheduled_us && swim.deadline().micros() != u64::MAX {
            node.scheduled_us = due;
            self.push(due, Happening::Wake(at));
        }
    }

    fn give(&mut self, at: usize, held: Held) {
        let node = &mut self.nodes[at];
        node.told.count(self.now_us, held.bytes());
        if node.paused || node.starved {
            if node.inbox.len() < node::HELD_MAX {
                node.inbox.push_back(held);
            }
            return;
        }
        let input = match &held {
            Held::Packet(from, bytes) => Input::Packet(*from, bytes),
            Held::Request(ticket, body) => Input::Request(*ticket, body),
            Held::Response(call, body) => Input::Response(*call, body),
            Held::Failed(call) => Input::Failed(*call),
        };
        self.handle(at, input);
    }

    fn handle(&mut self, at: usize, input: Input<'_>) {
        let now = Moment::from_micros(self.now_us);
        let mut effects = std::mem::take(&mut self.effects);
        let node = &mut self.nodes[at];
        let Some(swim) = &mut node.swim else { return };
        swim.handle(input, now, &mut node.rng, &mut effects);
        self.invariants.check_node(at, swim, &self.params, &mut node.own);
        self.note(at, &effects.events);
        self.act(at, &mut effects);
        effects.clear();
        self.effects = effects;
        self.reschedule(at);
    }

    /// Does what a member wants done to the outside.
    fn act(&mut self, at: usize, effects: &mut Effects) {
        for (to, bytes) in effects.packets() {
            self.traffic.packets += 1;
            self.traffic.bytes += bytes.len() as u64;
            self.nodes[at].sent += 1;
            self.nodes[at].said.count(self.now_us, bytes.len());
            self.invariants.check_packet(bytes, &self.params);
            if self.nodes[at].starved {
                self.nodes[at].outbox.push((to, bytes.into()));
            } else {
                self.transmit(at, to, bytes);
            }
        }
        for speak in effects.streams.drain(..) {
            match speak {
                Speak::Call { to, call, body } => self.open(at, to, call, body),
                Speak::Answer { ticket, body } => self.answer(at, ticket, body),
            }
        }
    }

    fn note(&mut self, observer: usize, events: &[Event]) {
        for event in events {
            self.asides += u64::from(*event == Event::Aside);
            let Event::Member(change) = event else { continue };
            let Some(subject) = self.by_id.get(&change.record.id).copied() else { continue };
            let real = self.nodes[subject].swim.as_ref().map(Swim::own);
            let real =
                real.map_or(self.nodes[subject].own, |own| (own.generation, own.incarnation));
            let life = (observer, self.nodes[observer].epoch);
            self.invariants.check_change(self.now_us, life, subject, change, real);
            let of_interest = change.state != State::Suspect && change.was != Some(State::Suspect);
            if of_interest || change.state == State::Dead || self.keep_suspicions {
                let (state, was) = (change.state, change.was);
                self.seen.push(Seen { at_us: self.now_us, observer, subject, state, was });
            }
        }
    }

    /// Whether all that run and can hear each other believe the same, and that of exactly those.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let running = self.nodes.iter().filter_map(|node| node.swim.as_ref());
        let mut running = running.filter(|swim| !swim.is_aside());
        let Some(first) = running.next() else { return true };
        let count = 1 + running.clone().count();
        first.live() == count && running.all(|swim| swim.digest() == first.digest())
    }

    /// Adds to what broke, unless the members agree.
    pub fn must_agree(&mut self, what: &str) {
        if !self.agrees() {
            let live = self.nodes.iter().filter_map(|node| node.swim.as_ref()).map(Swim::live);
            let (least, most) = (live.clone().min(), live.max());
            self.invariants.add(format!(
                "{what}: at {} us members do not agree: views of {least:?} to {most:?}",
                self.now_us
            ));
        }
    }
}

fn addr(at: usize, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(0x0a00_0000 | at as u32).into(), port)
}

/// The record of the member with this number.
fn record(at: usize, port: u16, generation: u64, meta: &[u8]) -> Record {
    let name = format!("n{at}");
    let id = Id::of(&name);
    Record { name: name.into(), id, generation, addr: addr(at, port), meta: meta.into() }
}

#[cfg(test)]
mod tests;
