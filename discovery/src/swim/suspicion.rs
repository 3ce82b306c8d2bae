//! How long a suspicion lasts: long while one member alone holds it, short once several healthy ones
//! say the same (Lifeguard, LHA-Suspicion).

use super::{member::Slot, message::Witnesses, params::Params};

/// A suspicion that runs.
#[derive(Debug, Clone)]
pub(super) struct Suspicion {
    pub(super) slot: Slot,
    pub(super) started_us: u64,
    pub(super) deadline_us: u64,
    /// The healthy members that got no answer.
    pub(super) witnesses: Witnesses,
}

/// How long a suspicion with so many witnesses lasts among `live` members, in microseconds.
pub(super) fn lasts_us(params: &Params, live: usize, witnesses: usize) -> u64 {
    let period = params.period.as_micros() as f64;
    let scale = (live as f64).log10().max(1.0) * period;
    let fixed = params.suspicion * scale;
    // Neither the suspect nor, if there are but two, the other one can confirm.
    let needed = params.confirmations.min(live.saturating_sub(2));
    if !params.lifeguard || needed == 0 {
        return fixed as u64;
    }
    let (longest, shortest) = (params.patience * fixed, params.haste * scale);
    if witnesses >= needed {
        return shortest as u64;
    }
    // The first witness is who raised it: only others confirm.
    let confirmed = witnesses.saturating_sub(1) as f64;
    let share = (confirmed + 1.0).ln() / (needed as f64 + 1.0).ln();
    (longest - (longest - shortest) * share).max(shortest) as u64
}
