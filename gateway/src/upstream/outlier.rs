//! Passive ejection: which endpoints are left alone for a while because they keep failing requests.
//!
//! Pure: told of each run of failures, it says whether and until when the endpoint is out. Who
//! counts the failures, and who stops asking, is [`super::roster`]'s business.

use std::time::Duration;

use weir_config::model::Outlier;

use crate::clock::Tick;

#[cfg(test)]
mod tests;

/// The longest ejection, unless the first one is already longer (Envoy's default).
pub const LONGEST: Duration = Duration::from_secs(300);

/// How many of so many endpoints may be ejected at a time: a fraction of them, but always one, or
/// of two endpoints neither ever could. An only endpoint never is: nobody would take its requests.
pub fn most_ejected(endpoints: usize, max_ejected: f64) -> usize {
    if endpoints < 2 {
        return 0;
    }
    // Decimal fractions are not exact in binary: 29 % of 100 endpoints are 29.
    let share = (endpoints as f64 * max_ejected + 1e-9) as usize;
    share.clamp(1, endpoints)
}

/// What is remembered of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// By how many times the first ejection the latest one was longer; 0 for none of late.
    times: u32,
    /// Until when it is out.
    until: Option<Tick>,
    /// When it came back last.
    returned: Tick,
}

impl Record {
    /// Until when the endpoint is out, when it is.
    pub fn until(&self) -> Option<Tick> {
        self.until
    }

    fn eject(&mut self, base: Duration, now: Tick) -> Tick {
        let base = base.max(Duration::from_millis(1));
        let longest = base.max(LONGEST);
        // As long as it was out the first time it has to do well for one ejection to be forgotten.
        let forgotten = now.nanos_since(self.returned) / (base.as_nanos() as u64).max(1);
        let forgotten = u32::try_from(forgotten).unwrap_or(u32::MAX);
        // What goes beyond the longest is not remembered, or it would take long to be forgotten.
        let most = longest.as_nanos().div_ceil(base.as_nanos());
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.times = (self.times.saturating_sub(forgotten) + 1).min(most);
        let until = now + base.saturating_mul(self.times).min(longest);
        self.until = Some(until);
        until
    }

    fn release(&mut self, now: Tick) {
        self.until = None;
        self.returned = now;
    }
}

/// The endpoints of one upstream, by index.
#[derive(Debug, Default)]
pub struct Ejections {
    records: Vec<Record>,
}

impl Ejections {
    /// Begins with these records. Where they hold more ejections than `outlier` now allows, those
    /// that end first have ended; without `outlier` all have.
    pub fn new(records: Vec<Record>, outlier: Option<&Outlier>, now: Tick) -> Self {
        let mut this = Self { records };
        let most =
            outlier.map_or(0, |outlier| most_ejected(this.records.len(), outlier.max_ejected));
        while this.ejected() > most {
            let out = this.records.iter_mut().filter(|record| record.until.is_some());
            if let Some(first) = out.min_by_key(|record| record.until) {
                first.release(now);
            }
        }
        this
    }

    /// What is remembered of an endpoint.
    pub fn record(&self, index: usize) -> Record {
        self.records.get(index).copied().unwrap_or_default()
    }

    /// How many are out.
    pub fn ejected(&self) -> usize {
        self.records.iter().filter(|record| record.until.is_some()).count()
    }

    /// An endpoint has failed too often in a row: until when it is out, unless it is already, or
    /// too many are.
    pub fn eject(&mut self, index: usize, outlier: &Outlier, now: Tick) -> Option<Tick> {
        let most = most_ejected(self.records.len(), outlier.max_ejected);
        if self.ejected() >= most {
            return None;
        }
        let record = self.records.get_mut(index).filter(|record| record.until.is_none())?;
        Some(record.eject(outlier.ejection, now))
    }

    /// Ends what is over by now; calls `back` for each.
    pub fn release(&mut self, mut back: impl FnMut(usize), now: Tick) {
        for (index, record) in self.records.iter_mut().enumerate() {
            if record.until.is_some_and(|until| until <= now) {
                record.release(now);
                back(index);
            }
        }
    }

    /// Ends all of them as if they had never begun; calls `back` for each.
    pub fn release_all(&mut self, mut back: impl FnMut(usize), now: Tick) {
        for (index, record) in self.records.iter_mut().enumerate() {
            if record.until.is_some() {
                record.times = record.times.saturating_sub(1);
                record.release(now);
                back(index);
            }
        }
    }

    /// When the next one ends.
    pub fn next(&self) -> Option<Tick> {
        self.records.iter().filter_map(|record| record.until).min()
    }
}
