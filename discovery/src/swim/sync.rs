//! Whole views compared over a stream: to join, to mend what gossip missed, and to heal. Views are
//! compared by their digests, part by part, and only the parts that differ are sent.

use std::net::SocketAddr;

use super::{
    Chance, Effects, Phase, Speak, State, Swim,
    belief::Way,
    codec::{Updates, read_stream, write_speech, write_update},
    effects::micros,
    member::{Id, bucket},
    message::{Header, Speech, Update},
};

/// Most streams that wait at once.
const CALLS_MAX: usize = 64;
/// Most bytes said over a stream.
pub const STREAM_BYTES_MAX: usize = 8 << 20;
/// The waits before another attempt to join, and between comparisons that a ping gave rise to.
const RETRY_MIN_US: u64 = 200_000;
const RETRY_MAX_US: u64 = 5_000_000;
/// Comparisons with new seeds, in some ten seconds.
const SEEDS_NEXT: u8 = 6;
const MEND_MIN_US: u64 = 1_000_000;
const MEND_MAX_US: u64 = 30_000_000;

#[derive(Debug, Clone, Copy)]
enum Purpose {
    Ping(Id, u32),
    Compare(SocketAddr),
    Push,
}

/// The streams that wait for an answer, and when views are compared next.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pending: Vec<(u64, Purpose)>,
    serial: u64,
    next_us: u64,
    joining: bool,
    wait_us: u64,
    /// Of the next comparisons, how many are with a seed: there are new ones.
    seeds_next: u8,
    /// Probes in a row that met another view.
    differing: u32,
    mend_us: u64,
    mend_wait_us: u64,
}

impl Calls {
    pub(super) fn new(now: u64, period_us: u64, joining: bool, rng: &mut Chance) -> Self {
        Self {
            pending: Vec::new(),
            serial: 0,
            next_us: if joining { now } else { now + period_us + rng.below(period_us * 30) },
            joining,
            wait_us: if joining { RETRY_MIN_US } else { period_us * 30 },
            seeds_next: 0,
            differing: 0,
            mend_us: now,
            mend_wait_us: MEND_MIN_US,
        }
    }

    pub(super) const fn wake_us(&self) -> u64 {
        self.next_us
    }

    /// Has new seeds asked at once, and again soon: the first may not be heard.
    pub(super) const fn ask_seeds(&mut self) {
        self.next_us = 0;
        self.wait_us = RETRY_MIN_US;
        self.seeds_next = SEEDS_NEXT;
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    fn take(&mut self, call: u64) -> Option<Purpose> {
        let at = self.pending.iter().position(|(pending, _)| *pending == call)?;
        Some(self.pending.swap_remove(at).1)
    }
}

impl Swim {
    fn call(&mut self, to: SocketAddr, purpose: Purpose, body: Vec<u8>, out: &mut Effects) {
        if self.calls.pending.len() < CALLS_MAX {
            self.calls.serial += 1;
            let call = self.calls.serial;
            self.calls.pending.push((call, purpose));
            out.streams.push(Speak::Call { to, call, body });
        }
    }

    pub(super) fn call_ping(&mut self, to: SocketAddr, id: Id, sequence: u32, out: &mut Effects) {
        let mut body = Vec::with_capacity(10);
        write_speech(self.id, &Speech::Ping(id), &mut body);
        self.call(to, Purpose::Ping(id, sequence), body, out);
    }

    fn compare(&mut self, to: SocketAddr, out: &mut Effects) {
        let mut body = Vec::with_capacity(768);
        write_speech(self.id, &Speech::Compare(Box::new(*self.table.buckets())), &mut body);
        self.write_news(self.me, &mut body);
        self.call(to, Purpose::Compare(to), body, out);
    }

    /// Joins, or compares views now and then: soon after joining, then ever more rarely.
    pub(super) fn check_calls(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        if now < self.calls.next_us {
            return;
        }
        let most = if self.calls.joining { RETRY_MAX_US } else { self.sync_interval_us() };
        let wait = self.calls.wait_us.min(most);
        self.calls.wait_us = (wait * 2).min(most);
        self.calls.next_us = now + wait / 2 + rng.below(wait.max(1));
        let member = self.random_live(rng).filter(|_| !self.calls.joining);
        let member = member.and_then(|slot| self.table.record(slot)).map(|record| record.addr);
        let own = self.table.record(self.me).map(|record| record.addr);
        let at = rng.below(self.seeds.len() as u64) as usize;
        let seed = self.seeds.get(at).copied().filter(|seed| Some(*seed) != own);
        let seed_first = rng.below(4) == 0 || self.calls.seeds_next > 0;
        self.calls.seeds_next = self.calls.seeds_next.saturating_sub(1);
        let to = if seed_first { seed.or(member) } else { member.or(seed) };
        if let Some(to) = to.filter(|_| self.phase == Phase::Member) {
            self.compare(to, out);
        }
    }

    /// The larger the membership, the rarer each member compares.
    fn sync_interval_us(&self) -> u64 {
        let doublings = (self.table.live() as f64 / 32.0).log2().ceil().max(0.0);
        micros(self.params.sync_interval) * (doublings as u64 + 1)
    }

    /// The view of a member that answered. Should it differ while there is no news, or go on to,
    /// then news was missed.
    pub(super) fn compare_digest(&mut self, header: &Header, now: u64, out: &mut Effects) {
        if header.digest == self.table.digest() {
            self.calls.differing = 0;
            return;
        }
        self.calls.differing += 1;
        let news = !self.queue.is_empty() && self.calls.differing < 2;
        if news || now < self.calls.mend_us {
            return;
        }
        let addr = self.table.find(header.from).and_then(|slot| self.table.record(slot));
        if let Some(addr) = addr.map(|record| record.addr) {
            self.calls.mend_us = now + self.calls.mend_wait_us;
            self.compare(addr, out);
        }
    }

    pub(super) fn on_request(
        &mut self,
        ticket: u64,
        bytes: &[u8],
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) {
        let Ok((from, speech, updates)) = read_stream(bytes) else {
            self.malformed += 1;
            return;
        };
        let mut body = Vec::new();
        match speech {
            Speech::Compare(buckets) => {
                self.learn_all(from, updates, now, rng, out);
                let pairs = buckets.iter().zip(self.table.buckets()).enumerate();
                let mask = pairs
                    .filter(|(_, (theirs, ours))| theirs != ours)
                    .fold(0, |mask, (at, _)| mask | 1 << at);
                write_speech(self.id, &Speech::Differ(mask), &mut body);
                self.write_parts(mask, &[], &mut body);
            }
            Speech::Push => {
                self.learn_all(from, updates, now, rng, out);
                write_speech(self.id, &Speech::Done, &mut body);
            }
            Speech::Ping(_) => write_speech(self.id, &Speech::Pong(self.own()), &mut body),
            Speech::Differ(_) | Speech::Done | Speech::Pong(_) => {
                self.malformed += 1;
                return;
            }
        }
        if self.phase != Phase::Silent {
            out.streams.push(Speak::Answer { ticket, body });
        }
    }

    pub(super) fn on_response(
        &mut self,
        call: u64,
        bytes: &[u8],
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) {
        let Some(purpose) = self.calls.take(call) else { return };
        let Ok((from, speech, updates)) = read_stream(bytes) else {
            self.malformed += 1;
            return;
        };
        match (purpose, speech) {
            (Purpose::Ping(id, sequence), Speech::Pong(stamp)) if stamp.id == id => {
                self.answered_by_stream(sequence, id, now);
            }
            (Purpose::Compare(to), Speech::Differ(mask)) => {
                let learnt = self.mend(from, updates.clone(), now, rng, out);
                self.push(to, mask, updates, out);
                let wait = if learnt { MEND_MIN_US } else { self.calls.mend_wait_us * 2 };
                self.calls.mend_wait_us = wait.min(MEND_MAX_US);
            }
            _ => {}
        }
    }

    pub(super) fn on_failed(&mut self, call: u64) {
        self.calls.take(call);
    }

    /// The other's view of the parts that differ; whether it held anything new.
    fn mend(
        &mut self,
        from: Id,
        updates: Updates<'_>,
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) -> bool {
        if std::mem::take(&mut self.calls.joining) {
            self.calls.wait_us = micros(self.params.period);
            self.calls.next_us = now + self.calls.wait_us / 2 + rng.below(self.calls.wait_us);
        }
        self.learn_all(from, updates, now, rng, out)
    }

    /// Says what the other had otherwise.
    fn push(&mut self, to: SocketAddr, mask: u64, theirs: Updates<'_>, out: &mut Effects) {
        if self.phase != Phase::Member {
            return;
        }
        let mut theirs: Vec<_> = theirs.filter_map(|update| print(&update)).collect();
        theirs.sort_unstable();
        let mut body = Vec::new();
        write_speech(self.id, &Speech::Push, &mut body);
        let empty = body.len();
        self.write_parts(mask, &theirs, &mut body);
        if body.len() > empty {
            self.call(to, Purpose::Push, body, out);
        }
    }

    /// Appends what is believed of the members in the parts of `mask`, but for what is in `known`.
    fn write_parts(&self, mask: u64, known: &[Print], body: &mut Vec<u8>) {
        if mask == 0 {
            return;
        }
        for slot in 0..self.table.slots() {
            let Some(record) = self.table.record(slot) else { continue };
            if mask & (1 << bucket(record.id)) == 0 || body.len() > STREAM_BYTES_MAX - 2048 {
                continue;
            }
            let class = match self.table.state(slot) {
                Some(State::Alive | State::Suspect) | None => 0,
                Some(State::Dead) => 1,
                Some(State::Left) => 2,
            };
            let incarnation = self.table.incarnation(slot);
            if known.binary_search(&(record.id, record.generation, incarnation, class)).is_ok() {
                continue;
            }
            if self.table.state(slot) == Some(State::Suspect) {
                write_update(&Update::Alive(record.profile(), incarnation), body);
            }
            self.write_news(slot, body);
        }
    }

    fn learn_all(
        &mut self,
        from: Id,
        updates: Updates<'_>,
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) -> bool {
        let mut learnt = false;
        for update in updates {
            learnt |= self.learn(&update, Way::Sync(from), now, rng, out);
        }
        learnt
    }
}

/// Whom in which life and with which end a piece of news is about: what is worth saying once.
type Print = (Id, u64, u32, u8);

fn print(update: &Update<'_>) -> Option<Print> {
    match update {
        Update::Alive(profile, incarnation) => {
            Some((Id::of(profile.name), profile.generation, *incarnation, 0))
        }
        Update::Suspect(..) => None,
        Update::Dead(stamp) => Some((stamp.id, stamp.generation, stamp.incarnation, 1)),
        Update::Left(stamp) => Some((stamp.id, stamp.generation, stamp.incarnation, 2)),
    }
}
