//! How well this member itself does: whoever is slow should doubt itself first (Lifeguard,
//! LHA-Probe).

/// The local health multiplier and the round trips that time-outs follow.
#[derive(Debug, Clone)]
pub(super) struct Health {
    score: u32,
    max: u32,
    trip_us: f64,
    deviation_us: f64,
}

/// Up to this score a member's word counts as a healthy one's. One missed answer is the network's.
const HEALTHY: u32 = 1;

impl Health {
    pub(super) const fn new(max: u32) -> Self {
        Self { score: 0, max, trip_us: 0.0, deviation_us: 0.0 }
    }

    pub(super) const fn score(&self) -> u32 {
        self.score
    }

    pub(super) const fn is_good(&self) -> bool {
        self.score <= HEALTHY
    }

    /// By how much every wait is longer.
    pub(super) const fn stretch(&self) -> u64 {
        self.score as u64 + 1
    }

    pub(super) fn worsen(&mut self, by: u32) {
        self.score = self.score.saturating_add(by).min(self.max);
    }

    pub(super) const fn improve(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// An answer took so long (RFC 6298, section 2).
    pub(super) fn timed(&mut self, trip_us: u64) {
        let trip = trip_us as f64;
        if self.trip_us == 0.0 {
            self.trip_us = trip.max(1.0);
            self.deviation_us = trip / 2.0;
        } else {
            self.deviation_us += ((self.trip_us - trip).abs() - self.deviation_us) / 4.0;
            self.trip_us += (trip - self.trip_us) / 8.0;
        }
    }

    /// The smoothed round trip, once there was one.
    pub(super) fn trip_us(&self) -> Option<u64> {
        (self.trip_us > 0.0).then_some(self.trip_us as u64)
    }

    /// How long to wait for an answer before others are asked, for a member in good health.
    pub(super) fn timeout_us(&self, min_us: u64, max_us: u64) -> u64 {
        match self.trip_us() {
            Some(_) => {
                (4.0f64.mul_add(self.deviation_us, self.trip_us) as u64).clamp(min_us, max_us)
            }
            None => max_us,
        }
    }
}
