//! How long a suspicion lasts: long while one member alone holds it, short once several healthy
//! ones say the same (Lifeguard, LHA-Suspicion).

use super::{member::Slot, message::Witnesses, params::Params};

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
