//! How long a suspicion lasts: long while one member alone holds it, short once several healthy
//! ones say the same (Lifeguard, LHA-Suspicion).

use super::{
    Chance, Effects, NEVER_US, State, Swim, belief::FEW, effects::micros, member::Slot,
    message::Witnesses, params::Params,
};

/// A suspicion that runs.
#[derive(Debug, Clone)]
pub(super) struct Suspicion {
    pub(super) slot: Slot,
    pub(super) started_us: u64,
    pub(super) deadline_us: u64,
    /// The healthy members that got no answer.
    pub(super) witnesses: Witnesses,
    /// Whether its end was put off to that of others.
    pub(super) put_off: bool,
}

/// How long suspicions last just now, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    shortest_us: f64,
    longest_us: f64,
    fixed_us: f64,
    /// How many witnesses make it the shortest; with less than two there is nobody to confirm.
    needed: usize,
}

impl Span {
    /// Among `live` members, of whom so many are suspect and can confirm nothing.
    pub(super) fn new(params: &Params, live: usize, suspects: usize) -> Self {
        let period_us = params.period.as_micros() as f64;
        let scale = (live as f64).log10().max(1.0) * period_us;
        let fixed_us = params.suspicion * scale;
        let needed = params.confirmations.min(live.saturating_sub(suspects));
        Self {
            shortest_us: params.haste * scale,
            longest_us: params.patience * fixed_us,
            fixed_us,
            needed: if params.lifeguard { needed } else { 0 },
        }
    }

    /// With so many witnesses, the one who raised it among them.
    pub(super) fn lasts_us(&self, witnesses: usize) -> u64 {
        if self.needed < 2 {
            return self.fixed_us as u64;
        }
        if witnesses >= self.needed {
            return self.shortest_us as u64;
        }
        // The first witness is who raised it: only the others confirm.
        let share = (witnesses.max(1) as f64).ln() / (self.needed as f64).ln();
        (self.longest_us - (self.longest_us - self.shortest_us) * share) as u64
    }

    /// Whether so many witnesses are all that it takes.
    pub(super) const fn is_confirmed(&self, witnesses: usize) -> bool {
        self.needed >= 2 && witnesses >= self.needed
    }

    /// With a member that does badly itself.
    pub(super) const fn longest_us(&self) -> u64 {
        self.longest_us as u64
    }
}

impl Swim {
    /// How long suspicions last just now.
    pub(super) fn span(&self) -> Span {
        Span::new(&self.params, self.table.live(), self.suspicions.len())
    }

    /// Among few, each one that drops out counts: fewer can confirm, so fewer need to.
    pub(super) fn hasten(&mut self, now: u64) {
        if self.table.live() > FEW {
            return;
        }
        let span = self.span();
        for suspicion in self.suspicions.iter_mut().filter(|suspicion| !suspicion.put_off) {
            let lasts = span.lasts_us(suspicion.witnesses.len());
            let deadline = (suspicion.started_us + lasts).max(now);
            suspicion.deadline_us = suspicion.deadline_us.min(deadline);
            self.suspicion_us = self.suspicion_us.min(deadline);
        }
    }

    pub(super) fn drop_suspicion(&mut self, slot: Slot) {
        let position = self.table.position(slot);
        self.suspicions.swap_remove(position);
        if let Some(moved) = self.suspicions.get(position) {
            self.table.set_position(moved.slot, position);
        }
        if self.suspicions.is_empty() {
            self.suspicion_us = NEVER_US;
        }
    }

    /// Others got no answer either; whether any of them is new.
    pub(super) fn add_witnesses(&mut self, slot: Slot, witnesses: &Witnesses, now: u64) -> bool {
        let (position, span) = (self.table.position(slot), self.span());
        let Some(suspicion) = self.suspicions.get_mut(position) else { return false };
        let before = suspicion.witnesses.len();
        // More than are needed would only be carried about.
        for mark in witnesses.iter() {
            if suspicion.witnesses.len() < self.params.confirmations {
                suspicion.witnesses.insert(mark);
            }
        }
        let after = suspicion.witnesses.len();
        if after == before {
            return false;
        }
        let lasts = span.lasts_us(after);
        if !suspicion.put_off {
            suspicion.deadline_us =
                suspicion.deadline_us.min(suspicion.started_us + lasts).max(now);
        }
        self.suspicion_us = self.suspicion_us.min(suspicion.deadline_us);
        self.spread_witnesses(slot, now);
        true
    }

    /// Somebody died, and others that are confirmed have next to no time left: they go with it.
    pub(super) fn end_together(&mut self, now: u64) {
        if self.params.lifeguard && !self.health.is_good() {
            return;
        }
        let (span, soon) = (self.span(), now + micros(self.params.period) / 2);
        for suspicion in &mut self.suspicions {
            if suspicion.deadline_us <= soon && span.is_confirmed(suspicion.witnesses.len()) {
                (suspicion.deadline_us, suspicion.put_off) = (now, true);
                self.suspicion_us = now;
            }
        }
    }

    /// Ends the suspicions that nobody refuted in time. A member that does badly itself waits as
    /// long as if nobody had confirmed.
    pub(super) fn check_suspicions(&mut self, now: u64, rng: &mut Chance, out: &mut Effects) {
        let (span, period) = (self.span(), micros(self.params.period));
        let longest = span.longest_us();
        let patient = self.params.lifeguard && !self.health.is_good();
        // Members that died together are told of together: each change of the view costs.
        let due = now + 1..=now + period * 3 / 2;
        let next = |put_off: bool| {
            let others = self.suspicions.iter().filter(|other| {
                other.put_off == put_off
                    && due.contains(&other.deadline_us)
                    && span.is_confirmed(other.witnesses.len())
            });
            others.map(|other| other.deadline_us).max()
        };
        let last = next(true).or_else(|| next(false));
        let mut ended = Vec::new();
        for suspicion in &mut self.suspicions {
            if suspicion.deadline_us > now {
                continue;
            }
            if patient && now < suspicion.started_us + longest {
                suspicion.deadline_us = now + period / 4;
            } else if let Some(last) = last.filter(|_| !suspicion.put_off) {
                (suspicion.deadline_us, suspicion.put_off) = (last, true);
            } else {
                ended.push(suspicion.slot);
            }
        }
        for slot in ended {
            let stamp = self.stamp(slot);
            self.learn_gone(&stamp, State::Dead, now, rng, out);
        }
        self.suspicion_us = self.suspicions.iter().map(|s| s.deadline_us).min().unwrap_or(NEVER_US);
    }
}
