//! Is it there? Ask it; then ask others to ask it, and ask over a stream; then suspect it.

use std::net::SocketAddr;

use super::{
    Chance, Effects, Phase, Slot, State, Swim,
    belief::Way,
    codec::read_packet,
    effects::micros,
    member::Id,
    message::{Header, Kind},
    suspicion::Suspicion,
};

/// Most probes that wait at once, and most made for others.
const PROBES_MAX: usize = 128;
const RELAYS_MAX: usize = 1024;
/// Suspects told so a period by a member in bad health.
const WARNED: usize = 3;

/// Why a member is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// It was its turn.
    Turn,
    /// This member watches it: silence is judged by phi, not by one probe.
    Watch,
    /// It is to hear what is thought of it, now or never: it was thought dead, or is suspect.
    Word,
}

/// A question that waits for its answer.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    sequence: u32,
    pub(super) slot: Slot,
    aim: Aim,
    sent_us: u64,
    /// When others are asked; `None` once they were.
    timeout_us: Option<u64>,
    expires_us: u64,
    asked: u32,
    nacks: u32,
}

impl Probe {
    pub(super) fn wake_us(&self) -> u64 {
        self.timeout_us.unwrap_or(self.expires_us)
    }
}

/// A question asked for another member.
#[derive(Debug, Clone)]
pub(super) struct Relay {
    sequence: u32,
    asker: SocketAddr,
    asker_sequence: u32,
    target: Id,
    nack_us: Option<u64>,
    expires_us: u64,
}

impl Relay {
    pub(super) fn wake_us(&self) -> u64 {
        self.nack_us.unwrap_or(self.expires_us)
    }
}

impl Swim {
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// A period begins: one member in turn, and each that this one watches.
    pub(super) fn tick(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        self.tick_us = (self.tick_us + micros(self.params.period)).max(now);
        self.weigh_aside(now, out);
        let (table, me) = (&self.table, self.me);
        let fits = |slot| slot != me && table.is_live(slot);
        if let Some(slot) = self.order.next(table.slots(), fits, rng) {
            self.probe(slot, Aim::Turn, now, out);
        }
        for at in 0..self.watch.edges.len() {
            self.probe(self.watch.edges[at].slot, Aim::Watch, now, out);
        }
        self.warn_suspects(now, rng, out);
    }

    /// Tells a suspect once more that it is one, while too few say the same: gossip about it may
    /// not have got out of here, nor its answer in. Some, if this member does badly itself.
    fn warn_suspects(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        if !self.params.lifeguard || self.suspicions.is_empty() {
            return;
        }
        for _ in 0..if self.health.is_good() { 1 } else { WARNED } {
            let at = rng.below(self.suspicions.len() as u64) as usize;
            let Suspicion { slot, started_us, witnesses, .. } = &self.suspicions[at];
            let (slot, old) = (*slot, now > started_us + 2 * micros(self.params.period));
            if old && !self.span().is_confirmed(witnesses.len()) {
                self.probe(slot, Aim::Word, now, out);
            }
        }
    }

    fn timeout_us(&self) -> u64 {
        self.health.timeout_us(micros(self.params.timeout_min), micros(self.params.timeout_max))
    }

    fn probe(&mut self, slot: Slot, aim: Aim, now: u64, out: &mut Effects) {
        let Some(record) = self.table.record(slot) else { return };
        if self.probes.len() >= PROBES_MAX {
            return;
        }
        let (id, addr) = (record.id, record.addr);
        let sequence = self.next_sequence();
        let stretch = self.health.stretch();
        if aim != Aim::Word {
            self.aside.asked();
        }
        self.probes.push(Probe {
            sequence,
            slot,
            aim,
            sent_us: now,
            timeout_us: (aim != Aim::Word).then(|| now + self.timeout_us() * stretch),
            expires_us: now + micros(self.params.period) * stretch,
            asked: 0,
            nacks: 0,
        });
        // The suspect hears first of all that it is one (Lifeguard, buddy system).
        let state = self.table.state(slot);
        let buddy = self.params.lifeguard && state == Some(State::Suspect);
        let first = (buddy || state == Some(State::Dead)).then_some(slot);
        self.send(addr, Kind::Ping(id), sequence, first, out);
    }

    pub(super) fn check_probes(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        let mut at = 0;
        while let Some(probe) = self.probes.get(at) {
            if probe.timeout_us.is_some_and(|timeout| timeout <= now) {
                self.ask_others(at, rng, out);
            }
            if self.probes[at].expires_us <= now {
                let probe = self.probes.swap_remove(at);
                self.give_up(&probe, now, rng, out);
            } else {
                at += 1;
            }
        }
    }

    /// It did not answer: perhaps the way there is to blame, or packets are.
    fn ask_others(&mut self, at: usize, rng: &mut Chance, out: &mut Effects) {
        let Probe { sequence, slot, .. } = self.probes[at];
        self.probes[at].timeout_us = None;
        let Some(record) = self.table.record(slot) else { return };
        let (id, addr) = (record.id, record.addr);
        let mut asked = [slot; 16];
        let mut count = 0;
        for _ in 0..self.params.indirect * 2 {
            let Some(helper) = self.random_live(rng) else { break };
            if count == self.params.indirect || asked[..count].contains(&helper) || helper == slot {
                continue;
            }
            asked[count] = helper;
            count += 1;
            if let Some(to) = self.table.record(helper).map(|record| record.addr) {
                self.send(to, Kind::PingReq(id, addr), sequence, None, out);
            }
        }
        self.probes[at].asked = count as u32;
        self.call_ping(addr, id, sequence, out);
    }

    fn give_up(&mut self, probe: &Probe, now: u64, rng: &mut Chance, out: &mut Effects) {
        if probe.aim == Aim::Word || !self.table.is_live(probe.slot) {
            return;
        }
        // Who was asked and is silent as well says something about this member, not about them.
        self.health.worsen(probe.asked.saturating_sub(probe.nacks));
        if probe.aim == Aim::Turn {
            self.suspect(probe.slot, now, rng, out);
        }
    }

    /// The members watched, of whom nothing was heard for longer than chance explains.
    pub(super) fn check_edges(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        let mut at = 0;
        while at < self.watch.edges.len() {
            let period = micros(self.params.period);
            let edge = &mut self.watch.edges[at];
            at += 1;
            if edge.deadline_us > now {
                continue;
            }
            // Again in a period, should it refute and stay silent all the same.
            edge.deadline_us = now + period;
            let slot = edge.slot;
            let asked = self.probes.iter().filter(|p| p.slot == slot && p.timeout_us.is_none());
            let silent = asked.map(|p| p.asked.saturating_sub(p.nacks)).max().unwrap_or(0);
            let doubtful = self.params.lifeguard && silent > 1;
            if doubtful && self.health.is_good() {
                self.health.worsen(silent);
            }
            self.suspect(slot, now, rng, out);
        }
    }

    pub(super) fn pause_us(&self) -> u64 {
        (self.params.pause * micros(self.params.period) as f64) as u64
    }

    /// Looks for one of the dead, so that a partition heals once its cause has: often at first.
    pub(super) fn seek_gone(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        self.gone_us = now + micros(self.params.gone_interval);
        self.forget(now);
        if self.gone.is_empty() {
            return;
        }
        let gone = self.gone[rng.below(self.gone.len() as u64) as usize];
        let old = now.saturating_sub(gone.since_us) > 3_600_000_000;
        if self.table.state(gone.slot) == Some(State::Dead) && (!old || rng.below(12) == 0) {
            self.probe(gone.slot, Aim::Word, now, out);
        }
    }

    pub(super) fn on_packet(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) {
        let Ok((header, updates)) = read_packet(bytes) else {
            self.malformed += 1;
            return;
        };
        if header.from == self.id {
            return;
        }
        for update in updates {
            self.learn(&update, Way::Gossip, now, rng, out);
        }
        if self.phase == Phase::Silent {
            return;
        }
        match header.kind {
            Kind::Ping(target) if target == self.id => {
                let doubt = self.doubt(header.from, header.digest);
                self.send(from, Kind::Ack(self.id), header.sequence, doubt, out);
            }
            Kind::PingReq(target, addr) => self.relay(from, &header, target, addr, now, out),
            Kind::Ack(subject) => self.on_ack(subject, &header, now, out),
            Kind::Nack => {
                let sequence = header.sequence;
                if let Some(probe) = self.probes.iter_mut().find(|p| p.sequence == sequence) {
                    probe.nacks = (probe.nacks + 1).min(probe.asked);
                }
            }
            Kind::Ping(_) | Kind::Gossip => {}
        }
    }

    fn relay(
        &mut self,
        asker: SocketAddr,
        header: &Header,
        target: Id,
        addr: SocketAddr,
        now: u64,
        out: &mut Effects,
    ) {
        if self.relays.len() >= RELAYS_MAX {
            return;
        }
        let sequence = self.next_sequence();
        self.relays.push(Relay {
            sequence,
            asker,
            asker_sequence: header.sequence,
            target,
            nack_us: self.params.lifeguard.then(|| now + self.timeout_us()),
            expires_us: now + micros(self.params.period),
        });
        let suspect = self.table.find(target);
        let doubted = |slot: &Slot| self.table.state(*slot) == Some(State::Suspect);
        let first = suspect.filter(doubted).filter(|_| self.params.lifeguard);
        self.send(addr, Kind::Ping(target), sequence, first, out);
    }

    pub(super) fn check_relays(&mut self, now: u64, out: &mut Effects) {
        let mut at = 0;
        while let Some(relay) = self.relays.get_mut(at) {
            let (asker, sequence) = (relay.asker, relay.asker_sequence);
            let due = relay.nack_us.take_if(|nack| *nack <= now).is_some();
            if relay.expires_us <= now {
                self.relays.swap_remove(at);
            } else {
                at += 1;
            }
            if due {
                self.send(asker, Kind::Nack, sequence, None, out);
            }
        }
    }

    fn on_ack(&mut self, subject: Id, header: &Header, now: u64, out: &mut Effects) {
        let sequence = header.sequence;
        if let Some(at) = self.relays.iter().position(|relay| relay.sequence == sequence) {
            if self.relays[at].target == subject {
                let relay = self.relays.swap_remove(at);
                self.send(relay.asker, Kind::Ack(subject), relay.asker_sequence, None, out);
            }
            return;
        }
        let direct = header.from == subject;
        if let Some(aim) = self.answered(sequence, subject, direct, now)
            && direct
            && aim == Aim::Turn
        {
            self.compare_digest(header, now, out);
        }
    }

    /// An answer came, by whatever way; why it had been asked for, if it was.
    fn answered(&mut self, sequence: u32, subject: Id, direct: bool, now: u64) -> Option<Aim> {
        let at = self.probes.iter().position(|probe| probe.sequence == sequence)?;
        if self.table.record(self.probes[at].slot)?.id != subject {
            return None;
        }
        let probe = self.probes.swap_remove(at);
        let trip_us = now.saturating_sub(probe.sent_us).max(1);
        if direct {
            self.health.timed(trip_us);
        }
        if direct && probe.aim != Aim::Word {
            self.aside.answered();
        }
        if probe.aim != Aim::Word {
            self.health.improve();
        }
        let (pause, z, stretch) = (self.pause_us(), self.suspect_z, self.health.stretch());
        if let Some(edge) = self.watch.edge(probe.slot).filter(|_| probe.aim == Aim::Watch) {
            edge.arrivals.heard(now);
            let silence = edge.arrivals.deadline_us(z, pause) - now;
            edge.deadline_us = now + silence * stretch;
            if direct {
                edge.trip_us = trip_us;
            }
        }
        Some(probe.aim)
    }

    /// An answer came over a stream.
    pub(super) fn answered_by_stream(&mut self, sequence: u32, subject: Id, now: u64) {
        self.answered(sequence, subject, false, now);
    }
}
