//! What an operator may set, checked once.

use std::{fmt, time::Duration};

/// How a membership behaves. All members of one should run with the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Between two rounds of probes: one random member and each watched one.
    pub period: Duration,
    /// Between two rounds of gossip, while there is news.
    pub gossip_interval: Duration,
    /// To how many random members a round of gossip goes.
    pub gossip_fanout: usize,
    /// How many members are asked to probe one that did not answer.
    pub indirect: usize,
    /// Bounds on the wait for an answer before others are asked, which follows the round trips
    /// seen.
    pub timeout_min: Duration,
    /// See [`Params::timeout_min`]; also the wait while no round trip is known.
    pub timeout_max: Duration,
    /// A suspicion that nobody healthy confirms lasts this times `max(1, log10 members)` periods,
    /// times [`Params::patience`].
    pub suspicion: f64,
    /// See [`Params::suspicion`].
    pub patience: f64,
    /// A suspicion with all the confirmations it needs lasts this times `max(1, log10 members)`
    /// periods.
    pub haste: f64,
    /// How many healthy members must say the same for a suspicion to be as short as it gets.
    pub confirmations: usize,
    /// How many members watch each one.
    pub observers: usize,
    /// Phi at which an observer suspects the member it watches.
    pub phi_suspect: f64,
    /// Added to the mean between answers before phi rises, in periods.
    pub pause: f64,
    /// Each news is sent this times `log10(members + 1)` times, rounded up.
    pub retransmit: f64,
    /// Between two comparisons of whole views, for up to 32 members; longer for more.
    pub sync_interval: Duration,
    /// Between two probes of members thought dead.
    pub gone_interval: Duration,
    /// How long the dead are remembered.
    pub gone_keep: Duration,
    /// The worst local health: time-outs grow up to this much plus one times.
    pub health_max: u32,
    /// Most bytes in a packet, with nothing of the transport counted.
    pub packet_bytes: usize,
    /// Most news waiting to be told.
    pub queue_max: usize,
    /// Most members, living and remembered.
    pub members_max: usize,
    /// Local health, confirmed suspicions, nacks and the word to the suspect. Off only to measure
    /// what they are worth.
    pub lifeguard: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(1),
            gossip_interval: Duration::from_millis(200),
            gossip_fanout: 3,
            indirect: 3,
            timeout_min: Duration::from_millis(50),
            timeout_max: Duration::from_millis(500),
            suspicion: 4.0,
            patience: 6.0,
            haste: 1.5,
            confirmations: 3,
            observers: 3,
            phi_suspect: 8.0,
            pause: 0.5,
            retransmit: 4.0,
            sync_interval: Duration::from_secs(30),
            gone_interval: Duration::from_secs(5),
            gone_keep: Duration::from_secs(24 * 3600),
            health_max: 8,
            packet_bytes: 1400 - 29,
            queue_max: 4096,
            members_max: 65_536,
            lifeguard: true,
        }
    }
}

/// Which parameter cannot be, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidParams(&'static str);

impl fmt::Display for InvalidParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidParams {}

impl Params {
    /// Itself, when every value is within what the machine was built for.
    pub fn check(self) -> Result<Self, InvalidParams> {
        let at_least =
            |value: f64, least: f64| value.is_finite() && (least..=100.0).contains(&value);
        let rules = [
            (self.period >= Duration::from_millis(10), "period: at least 10ms"),
            (self.period <= Duration::from_secs(60), "period: at most 60s"),
            (self.gossip_interval >= Duration::from_millis(1), "gossip_interval: at least 1ms"),
            (self.gossip_interval <= self.period, "gossip_interval: at most the period"),
            ((1..=16).contains(&self.gossip_fanout), "gossip_fanout: 1 to 16"),
            (self.indirect <= 16, "indirect: at most 16"),
            (self.timeout_min >= Duration::from_millis(1), "timeout_min: at least 1ms"),
            (self.timeout_min <= self.timeout_max, "timeout_min: at most timeout_max"),
            (self.timeout_max < self.period, "timeout_max: less than the period"),
            (at_least(self.suspicion, 1.0), "suspicion: 1 to 100"),
            (at_least(self.patience, 1.0), "patience: 1 to 100"),
            (at_least(self.haste, 0.5), "haste: 0.5 to 100"),
            (self.haste <= self.suspicion, "haste: at most suspicion"),
            ((1..=4).contains(&self.confirmations), "confirmations: 1 to 4"),
            (self.observers <= 8, "observers: at most 8"),
            (at_least(self.phi_suspect, 1.0), "phi_suspect: 1 to 100"),
            (at_least(self.pause, 0.0), "pause: 0 to 100"),
            (at_least(self.retransmit, 1.0), "retransmit: 1 to 100"),
            (self.sync_interval >= self.period, "sync_interval: at least the period"),
            (self.gone_interval >= self.period, "gone_interval: at least the period"),
            (self.health_max <= 32, "health_max: at most 32"),
            ((1024..=65_000).contains(&self.packet_bytes), "packet_bytes: 1024 to 65000"),
            ((16..=65_536).contains(&self.queue_max), "queue_max: 16 to 65536"),
            ((2..=1 << 20).contains(&self.members_max), "members_max: 2 to 1048576"),
        ];
        match rules.into_iter().find(|(kept, _)| !kept) {
            Some((_, rule)) => Err(InvalidParams(rule)),
            None => Ok(self),
        }
    }
}
