//! How an upstream's endpoints are chosen.

use super::KeyPart;

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two random endpoints (power of two choices).
    P2c,
    /// The cheaper of two random endpoints by peak-sensitive latency average times load.
    PeakEwma,
    /// Of a pool of sampled endpoints the fastest that is not busier than most (Prequal).
    Prequal,
    /// The least loaded of all endpoints.
    LeastRequest,
    /// In turn, smoothly interleaved by weight.
    RoundRobin,
    /// At random by weight.
    Random,
    /// By a key, with rendezvous hashing.
    Rendezvous,
    /// By a key, on a ring of points.
    Ring,
    /// By a key, with Maglev's table.
    Maglev,
}

impl Balance {
    /// Whether a request's key says which endpoint is asked.
    #[must_use]
    pub const fn is_by_key(self) -> bool {
        matches!(self, Self::Rendezvous | Self::Ring | Self::Maglev)
    }

    /// As the file writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::P2c => "p2c",
            Self::PeakEwma => "peak_ewma",
            Self::Prequal => "prequal",
            Self::LeastRequest => "least_request",
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::Rendezvous => "rendezvous",
            Self::Ring => "ring",
            Self::Maglev => "maglev",
        }
    }
}

/// How a key decides.
#[derive(Debug, Clone, PartialEq)]
pub struct HashBalance {
    /// What decides: the combination of these; never empty, and never the route.
    pub key: Vec<KeyPart>,
    /// How many times its share of the requests under way an endpoint may have; at least 1. `None`
    /// is any number.
    pub bounded_load: Option<f64>,
    /// Points of an endpoint of weight 1 on a ring.
    pub points: u32,
    /// Entries of Maglev's table.
    pub entries: u32,
}
