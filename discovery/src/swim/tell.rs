//! What goes out: packets with news on their backs, and rounds of gossip while there is some.

use std::net::SocketAddr;

use super::{
    Chance, Effects, NEVER_US, Phase, Slot, Stamp, State, Swim,
    belief::FEW,
    codec::{write_header, write_update},
    effects::micros,
    gossip::Queue,
    member::{Id, Table},
    message::{Header, Kind, Update},
    suspicion::Suspicion,
};

impl Swim {
    pub(super) fn stamp(&self, slot: Slot) -> Stamp {
        stamp(&self.table, slot)
    }

    /// There is news about `slot`. It goes out with whatever is sent next, and by itself within
    /// `delay` if no round of gossip is nearer.
    pub(super) fn spread(&mut self, slot: Slot, now: u64, delay: u64) {
        self.queue.push(slot, 0, self.params.queue_max);
        self.go_out(now, delay);
    }

    /// The same of a suspicion: as several raise it, and it ends one way or the other, each tells
    /// it half as often.
    pub(super) fn spread_doubt(&mut self, slot: Slot, now: u64, delay: u64) {
        self.queue.push(slot, self.retransmits() / 2, self.params.queue_max);
        self.go_out(now, delay);
    }

    /// A suspicion has further witnesses. They go with it if it still waits to be told, and at the
    /// next turn of gossip if not: among many nobody needs them before it would end.
    pub(super) fn spread_witnesses(&mut self, slot: Slot, now: u64) {
        if self.table.live() <= FEW {
            self.spread(slot, now, 0);
        } else if !self.queue.has(slot) {
            self.queue.push(slot, self.retransmits() / 2, self.params.queue_max);
            let turn = (self.gossiped_us + micros(self.params.gossip_interval)).max(now);
            self.gossip_us = self.gossip_us.min(turn);
        }
    }

    fn go_out(&mut self, now: u64, delay: u64) {
        let soonest = (self.gossiped_us + micros(self.params.gossip_interval) / 2).max(now);
        self.gossip_us = self.gossip_us.min(soonest + delay);
    }

    /// Within which fresh news goes out.
    pub(super) fn hurry_us(&self) -> u64 {
        micros(self.params.gossip_interval) / 4
    }

    fn header(&self, kind: Kind, sequence: u32) -> Header {
        let generation = self.table.record(self.me).map_or(0, |record| record.generation);
        Header { from: self.id, generation, digest: self.table.digest(), sequence, kind }
    }

    /// Sends a packet with as much news as fits: first of all what is believed of `first`.
    pub(super) fn send(
        &mut self,
        to: SocketAddr,
        kind: Kind,
        sequence: u32,
        first: Option<Slot>,
        out: &mut Effects,
    ) {
        let header = self.header(kind, sequence);
        let limit = self.retransmits();
        let leaving = self.phase == Phase::Leaving;
        let (queue, table) = (&mut self.queue, &self.table);
        let (suspicions, me, room) = (&self.suspicions, self.me, self.params.packet_bytes);
        out.packet(to, |bytes| {
            let start = bytes.len();
            write_header(&header, bytes);
            let mut write = |slot: Slot| {
                let before = bytes.len();
                write_belief(table, suspicions, slot, leaving && slot == me, bytes);
                let fits = bytes.len() - start <= room;
                if !fits {
                    bytes.truncate(before);
                }
                fits
            };
            if let Some(first) = first {
                write(first);
            }
            tell(queue, limit, first, write);
        });
        if self.queue.is_empty() {
            self.gossip_us = NEVER_US;
        }
    }

    /// How many times each piece of news is told.
    fn retransmits(&self) -> u32 {
        (self.params.retransmit * (self.table.live() as f64 + 1.0).log10()).ceil().max(2.0) as u32
    }

    /// What the sender of a packet should hear: that it is thought to be anything but alive.
    pub(super) fn doubt(&self, id: Id, digest: u64) -> Option<Slot> {
        if digest == self.table.digest() && self.suspicions.is_empty() {
            return None;
        }
        let slot = self.table.find(id)?;
        let doubted = matches!(self.table.state(slot), Some(State::Suspect | State::Dead));
        doubted.then_some(slot)
    }

    /// One round of gossip.
    pub(super) fn gossip(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        let mut told = [self.me; 16];
        let mut count = 0;
        for _ in 0..self.params.gossip_fanout * 2 {
            if count == self.params.gossip_fanout || self.queue.is_empty() {
                break;
            }
            let Some(slot) = self.random_live(rng) else {
                self.queue = Queue::default();
                break;
            };
            if told[..count].contains(&slot) {
                continue;
            }
            told[count] = slot;
            count += 1;
            if let Some(to) = self.table.record(slot).map(|record| record.addr) {
                self.send(to, Kind::Gossip, 0, None, out);
            }
        }
        self.gossiped_us = now;
        let next = now + micros(self.params.gossip_interval);
        self.gossip_us = if self.queue.is_empty() { NEVER_US } else { next };
    }

    /// Any other member that lives: a few guesses, then the next one from the last guess on.
    pub(super) fn random_live(&self, rng: &mut Chance) -> Option<Slot> {
        let slots = self.table.slots();
        let fits = |slot: &Slot| *slot != self.me && self.table.is_live(*slot);
        if self.table.live() < 2 {
            return None;
        }
        let mut guess = 0;
        for _ in 0..16 {
            guess = rng.below(u64::from(slots)) as Slot;
            if fits(&guess) {
                return Some(guess);
            }
        }
        (guess..slots).chain(0..guess).find(fits)
    }

    /// Appends what is believed of `slot`, as news.
    pub(super) fn write_news(&self, slot: Slot, bytes: &mut Vec<u8>) {
        let leaving = self.phase == Phase::Leaving && slot == self.me;
        write_belief(&self.table, &self.suspicions, slot, leaving, bytes);
    }
}

fn tell(queue: &mut Queue, limit: u32, first: Option<Slot>, mut write: impl FnMut(Slot) -> bool) {
    queue.tell(limit, |slot| Some(slot) == first || write(slot));
}

fn stamp(table: &Table, slot: Slot) -> Stamp {
    let (id, generation) =
        table.record(slot).map_or((Id(0), 0), |record| (record.id, record.generation));
    Stamp { id, generation, incarnation: table.incarnation(slot) }
}

fn write_belief(
    table: &Table,
    suspicions: &[Suspicion],
    slot: Slot,
    leaving: bool,
    bytes: &mut Vec<u8>,
) {
    let Some(record) = table.record(slot) else { return };
    let stamp = stamp(table, slot);
    let update = match table.state(slot) {
        Some(State::Alive) if leaving => Update::Left(stamp),
        Some(State::Alive) => Update::Alive(record.profile(), stamp.incarnation),
        Some(State::Suspect) => {
            let suspicion = suspicions.get(table.position(slot));
            Update::Suspect(stamp, suspicion.map(|s| s.witnesses).unwrap_or_default())
        }
        Some(State::Dead) => Update::Dead(stamp),
        Some(State::Left) => Update::Left(stamp),
        None => return,
    };
    write_update(&update, bytes);
}
