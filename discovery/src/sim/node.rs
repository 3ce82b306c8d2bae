//! A member's place in the world, and what can be done to it.

use super::{
    Arc, BORN, Chance, Input, Moment, PORT, Record, Roster, SECOND, SocketAddr, Swim, VecDeque,
    World, addr, record,
};

/// Most messages that wait for a member that does not take any: a socket's buffer.
pub(super) const HELD_MAX: usize = 512;

/// Something that a member is to be given.
#[derive(Debug)]
pub(super) enum Held {
    Packet(SocketAddr, Box<[u8]>),
    Request(u64, Vec<u8>),
    Response(u64, Vec<u8>),
    Failed(u64),
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Packet(_, bytes) => bytes.len(),
            Self::Request(_, body) | Self::Response(_, body) => body.len(),
            Self::Failed(_) => 0,
        }
    }
}

/// Bytes of packets and streams, by the second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    second: u64,
    bytes: u64,
    /// Of the worst second.
    pub most: u64,
    /// Of all of them.
    pub all: u64,
}

impl Meter {
    pub(super) fn count(&mut self, now_us: u64, bytes: usize) {
        let second = now_us / SECOND;
        if std::mem::replace(&mut self.second, second) != second {
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
        self.all += bytes as u64;
        self.most = self.most.max(self.bytes);
    }
}

/// A member's place in the world.
#[derive(Debug)]
pub struct Node {
    /// The machine; `None` while the process does not run.
    pub swim: Option<Swim>,
    /// What it started as.
    pub record: Arc<Record>,
    /// On which side of a partition it is: only members of one side hear each other.
    pub side: u8,
    /// What part of the packets that it sends is lost besides the network's own.
    pub loss_out: f64,
    /// What part of the packets sent to it is lost besides the network's own.
    pub loss_in: f64,
    /// Packets it sent.
    pub sent: u64,
    /// What it said.
    pub said: Meter,
    /// What it was told.
    pub told: Meter,
    pub(super) rng: Chance,
    pub(super) epoch: u32,
    pub(super) scheduled_us: u64,
    pub(super) paused: bool,
    pub(super) starved: bool,
    pub(super) inbox: VecDeque<Held>,
    pub(super) outbox: Vec<(SocketAddr, Box<[u8]>)>,
    /// Its last generation and incarnation.
    pub(super) own: (u64, u32),
}

impl Node {
    pub(super) fn new(swim: Swim, record: Arc<Record>, rng: Chance) -> Self {
        let own = (record.generation, 0);
        Self {
            swim: Some(swim),
            record,
            side: 0,
            loss_out: 0.0,
            loss_in: 0.0,
            sent: 0,
            said: Meter::default(),
            told: Meter::default(),
            rng,
            epoch: 0,
            scheduled_us: u64::MAX,
            paused: false,
            starved: false,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            own,
        }
    }
}

impl World {
    /// The process ends without a word.
    pub fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.swim = None;
        node.epoch += 1;
        node.scheduled_us = u64::MAX;
        node.paused = false;
        node.starved = false;
        node.inbox.clear();
        node.outbox.clear();
    }

    /// The process starts again, at the same address or another, and joins through `seeds`.
    pub fn restart(&mut self, at: usize, elsewhere: bool, seeds: &[usize]) {
        self.crash(at);
        let port = self.nodes[at].record.addr.port() + u16::from(elsewhere);
        let generation = self.nodes[at].own.0.max(BORN + self.now_us / 1000) + 1;
        let record = Arc::new(record(at, port, generation, &[]));
        let seeds: Vec<_> = seeds.iter().map(|seed| self.nodes[*seed].record.addr).collect();
        let now = Moment::from_micros(self.now_us);
        let params = Arc::clone(&self.params);
        let node = &mut self.nodes[at];
        node.record = Arc::clone(&record);
        let roster = Roster::of(&[]);
        node.swim = Some(Swim::among(params, record, &roster, &seeds, now, &mut node.rng));
        node.own = (generation, 0);
        self.reschedule(at);
    }

    /// The member says that it goes; it runs on until it crashes.
    pub fn leave(&mut self, at: usize) {
        let now = Moment::from_micros(self.now_us);
        if let Some(swim) = &mut self.nodes[at].swim {
            swim.leave(now);
        }
        self.reschedule(at);
    }

    /// The process stands still (SIGSTOP): nothing runs, not even its timers.
    pub fn pause(&mut self, at: usize) {
        self.nodes[at].paused = true;
    }

    /// The process runs on: its timers are long due, and what was sent to it waits.
    pub fn resume(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.paused = false;
        // Which of the two it sees first is the kernel's choice: here every second member's.
        if at.is_multiple_of(2) && node.swim.is_some() {
            self.handle(at, Input::Timeout);
        }
        self.drain(at);
        if self.nodes[at].swim.is_some() {
            self.handle(at, Input::Timeout);
        }
    }

    /// The member's timers run, but what it sends and what is sent to it waits.
    pub fn starve(&mut self, at: usize) {
        self.nodes[at].starved = true;
    }

    /// All that waited goes on its way.
    pub fn feed(&mut self, at: usize) {
        self.nodes[at].starved = false;
        for (to, bytes) in std::mem::take(&mut self.nodes[at].outbox).iter().take(HELD_MAX) {
            self.transmit(at, *to, bytes);
        }
        self.drain(at);
    }

    fn drain(&mut self, at: usize) {
        while !self.nodes[at].starved
            && !self.nodes[at].paused
            && let Some(held) = self.nodes[at].inbox.pop_front()
        {
            self.give(at, held);
        }
    }

    /// The address that a member with this number has first.
    #[must_use]
    pub fn first_addr(at: usize) -> SocketAddr {
        addr(at, PORT)
    }
}
