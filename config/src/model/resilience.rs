//! What happens when an attempt fails, or too much comes at once.

use std::time::Duration;

use http::HeaderName;

use super::{Respond, StatusRange};

/// Second tries of a route's requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Most attempts at one request, the first included; at least 2.
    pub attempts: u32,
    /// Which failures another attempt answers.
    pub on: RetryOn,
    /// How long is waited before it.
    pub backoff: Backoff,
    /// How many there are of them.
    pub budget: RetryBudget,
    /// How long an attempt may take to its response's head while another may follow; `None` is as
    /// long as the route's `timeout.headers`.
    pub attempt_timeout: Option<Duration>,
    /// Bytes of a request's body that are kept for another attempt.
    pub buffer: u32,
    /// A second attempt beside a slow first one.
    pub hedge: Option<Hedge>,
}

/// Which failures another attempt answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryOn {
    /// No connection came about: nothing of the request was sent.
    pub connect: bool,
    /// The connection broke before the response's head, or the endpoint refused the request unseen.
    pub reset: bool,
    /// No response head in time.
    pub timeout: bool,
    /// Responses with these statuses, 400 to 599.
    pub statuses: Vec<StatusRange>,
}

/// How long is waited before another attempt: a random time from nothing to `base x 2^n`, never
/// above `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait before the second attempt.
    pub base: Duration,
    /// Longest wait of all.
    pub max: Duration,
}

/// How many attempts there may be beyond the first ones: a share of a route's requests, plus a
/// floor for routes with few.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    /// Share of the requests of the window, as a fraction of one.
    pub percent: f64,
    /// So many a second, whatever comes.
    pub min_per_sec: u32,
    /// Over how long requests and retries are counted.
    pub window: Duration,
}

/// When a second attempt is made beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedge {
    /// After this time.
    After(Duration),
    /// After what 95 of 100 answers of the upstream took of late.
    P95,
}

/// When an endpoint is given up for a while, by the share of its requests that fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// Share of failures that opens it, as a fraction of one.
    pub failure_rate: f64,
    /// Over how long requests are counted.
    pub window: Duration,
    /// With fewer requests in the window nothing is concluded.
    pub min_requests: u32,
    /// For how long it stays open before probes are let through.
    pub open: Duration,
    /// Requests let through when half open; all of them must succeed.
    pub probes: u32,
    /// Slowness that opens it as well.
    pub slow: Option<SlowCalls>,
}

/// When slowness counts like failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowCalls {
    /// A request whose response's head takes longer is slow.
    pub over: Duration,
    /// Share of slow requests that opens the breaker, as a fraction of one.
    pub rate: f64,
}

/// A bound on the requests under way that follows latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adaptive {
    /// It never falls below.
    pub min: u32,
    /// How many times the usual latency is taken for normal; at least 1.
    pub tolerance: f64,
}

/// How urgent a route's requests are, when not all can be served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutePriority {
    /// Of all its requests; what `header` says never raises it.
    pub level: Priority,
    /// A request header that may lower it: `low`, `normal` or `high`.
    pub header: Option<HeaderName>,
}

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Shed first.
    Low,
    /// Shed when shedding the low ones is not enough.
    #[default]
    Normal,
    /// Shed last.
    High,
}

/// What a route does when its upstream cannot answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Fallback {
    /// Asks another upstream: an index into [`Config::upstreams`](super::Config::upstreams).
    Upstream(usize),
    /// Answers itself.
    Respond(Respond),
}

/// The memory that the gateway may use before it turns requests away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// What its control group may, or else what the machine has.
    Auto,
    /// So many bytes.
    Bytes(u64),
    /// No bound.
    Off,
}
