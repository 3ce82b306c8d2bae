//! What a run is asked to do: a configuration file, the script's `options`, `K6_*` variables and
//! the command line, made one checked value. Each of these wins over those before.

mod decode;
mod duration;
mod flags;
mod layers;
mod network;
mod reader;
mod scenarios;
mod system_tags;

use std::{net::IpAddr, time::Duration};

use serde_json::Value;

use crate::http::Version;

pub use self::{
    duration::{DurationError, format_duration, parse_duration},
    flags::Flags,
    system_tags::{SystemTag, SystemTags},
};

/// A scenario: who runs which function of the script, how often and how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name; `default` for the one that `vus`, `duration`, `iterations` and `stages` make.
    pub name: String,
    /// When iterations begin.
    pub executor: Executor,
    /// From the begin of the test to the begin of the scenario.
    pub start_time: Duration,
    /// How long iterations may go on after the scenario's regular end.
    pub graceful_stop: Duration,
    /// The exported function.
    pub exec: String,
    /// `__ENV` of its VUs, over that of the test.
    pub env: Vec<(String, String)>,
    /// Tags of its samples, over those of the test.
    pub tags: Vec<(String, String)>,
}

/// When iterations begin; the words and defaults are k6's.
#[derive(Clone, Debug, PartialEq)]
pub enum Executor {
    /// `iterations` in all, by whichever VU is free.
    SharedIterations {
        /// How many VUs.
        vus: u32,
        /// In all.
        iterations: u64,
        /// No iteration begins after that.
        max_duration: Duration,
    },
    /// `iterations` by each VU.
    PerVuIterations {
        /// How many VUs.
        vus: u32,
        /// By each VU.
        iterations: u64,
        /// No iteration begins after that.
        max_duration: Duration,
    },
    /// One after another, by each VU.
    ConstantVus {
        /// How many VUs.
        vus: u32,
        /// No iteration begins after that.
        duration: Duration,
    },
    /// One after another, by a changing number of VUs.
    RampingVus {
        /// How many VUs at the begin.
        start_vus: u32,
        /// Where their number goes.
        stages: Vec<Stage>,
        /// How long a VU that is to leave may take for its last iteration.
        graceful_ramp_down: Duration,
    },
    /// At a fixed rate, however long each takes.
    ConstantArrivalRate {
        /// Iterations per `time_unit`.
        rate: u64,
        /// What the rate is per.
        time_unit: Duration,
        /// No iteration begins after that.
        duration: Duration,
        /// The VUs for it.
        pool: Pool,
    },
    /// At a changing rate.
    RampingArrivalRate {
        /// Iterations per `time_unit` at the begin.
        start_rate: u64,
        /// What rates are per.
        time_unit: Duration,
        /// Where the rate goes.
        stages: Vec<Stage>,
        /// The VUs for it.
        pool: Pool,
    },
}

/// A part of a ramp: from where the one before ended straight to `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// How long.
    pub duration: Duration,
    /// VUs, or iterations per unit of time, at its end.
    pub target: u64,
}

/// The VUs of an arrival-rate executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Made before the test begins.
    pub pre_allocated_vus: u32,
    /// Made at most.
    pub max_vus: u32,
    /// When all of them are busy.
    pub on_saturation: Saturation,
}

/// What becomes of an iteration for which there is no VU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saturation {
    /// It waits, and its latency is measured from when it should have begun.
    Queue,
    /// It is counted in `dropped_iterations`.
    Drop,
}

/// Options that make no sense. The run ends with [`crate::exit::Exit::InvalidConfig`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct OptionsError {
    /// The option, with the way to it: `scenarios.login.stages[2].duration`.
    pub option: String,
    /// What is wrong with it.
    pub problem: String,
}

impl OptionsError {
    /// `problem` with `option`.
    pub fn new(option: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { option: option.into(), problem: problem.into() }
    }
}

/// All that a run is asked to do; see <https://grafana.com/docs/k6/latest/using-k6/k6-options/>.
#[derive(Clone, Debug)]
pub struct Options {
    /// Never empty.
    pub scenarios: Vec<Scenario>,
    /// By metric, as written; `threshold` parses them.
    pub thresholds: Vec<(String, Vec<ThresholdOption>)>,
    /// Tags of all samples.
    pub tags: Vec<(String, String)>,
    /// Which of a sample's own properties become tags.
    pub system_tags: SystemTags,
    /// Addresses to be used instead of asking DNS: host or `host:port`, perhaps with a leading
    /// `*.`, and the address, perhaps with a port.
    pub hosts: Vec<(String, HostAddress)>,
    /// How names become addresses.
    pub dns: Dns,
    /// Networks to which no connection is made, as `(address, bits)`.
    pub blacklist_ips: Vec<(IpAddr, u8)>,
    /// Names that are not resolved; a leading `*` stands for anything.
    pub block_hostnames: Vec<String>,
    /// Addresses to connect from.
    pub local_ips: Vec<IpAddr>,
    /// Whether any certificate will do.
    pub insecure_skip_tls_verify: bool,
    /// Lowest and highest TLS version.
    pub tls_version: Option<(TlsVersion, TlsVersion)>,
    /// Names of the only cipher suites to offer.
    pub tls_cipher_suites: Vec<String>,
    /// Client certificates.
    pub tls_auth: Vec<TlsAuth>,
    /// What requests are made with that do not say so themselves; an option of our own.
    pub http_version: Version,
    /// A connection per request.
    pub no_connection_reuse: bool,
    /// A connection per iteration.
    pub no_vu_connection_reuse: bool,
    /// Whether cookies live longer than an iteration.
    pub no_cookies_reset: bool,
    /// Redirects that are followed.
    pub max_redirects: u32,
    /// Of requests that set none.
    pub user_agent: Option<String>,
    /// Requests of one `http.batch()` at a time.
    pub batch: u32,
    /// And to one host.
    pub batch_per_host: u32,
    /// Requests per second in all.
    pub rps: Option<u32>,
    /// Whether to write requests and responses to the log.
    pub http_debug: HttpDebug,
    /// Whether a request that fails throws.
    pub throw: bool,
    /// Whether bodies of responses are read and forgotten.
    pub discard_response_bodies: bool,
    /// An iteration that is faster waits.
    pub min_iteration_duration: Duration,
    /// Of `setup()`.
    pub setup_timeout: Duration,
    /// Of `teardown()`.
    pub teardown_timeout: Duration,
    /// Of `handleSummary()`.
    pub handle_summary_timeout: Duration,
    /// What the summary says of trends.
    pub summary_trend_stats: Vec<TrendStat>,
    /// In which unit it writes times.
    pub summary_time_unit: Option<TimeUnit>,
    /// Whether to wait after the end until interrupted.
    pub linger: bool,
    /// Options without effect here, and why, to be said once.
    pub warnings: Vec<String>,
    /// The layers as one object, for `exec.test.options`.
    pub consolidated: Value,
}

impl Options {
    /// The options of a run: what is written in a configuration file and exported by the script
    /// (null where there is none), the environment's variables, of which those with `K6_` count,
    /// and the command line. Each wins over those before; one that says how long or how often to
    /// run replaces all that they say of it.
    pub fn from_layers<'a>(
        written: &[&Value],
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
        flags: &Flags,
    ) -> Result<Self, OptionsError> {
        let environment = layers::environment(environment)?;
        let mut all =
            written.iter().map(|value| layers::script(value)).collect::<Result<Vec<_>, _>>()?;
        all.extend([environment, flags.layer()?]);
        decode::options(layers::merge(all))
    }
}

/// A threshold as the script writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdOption {
    /// `p(95)<200`.
    pub expression: String,
    /// Whether the test ends when it is crossed.
    pub abort_on_fail: bool,
    /// But not before that.
    pub delay_abort_eval: Duration,
}

/// Where a host is found instead of in DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The address.
    pub ip: IpAddr,
    /// The port, instead of the URL's.
    pub port: Option<u16>,
}

/// How names become addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dns {
    /// How long an answer is kept; nothing for ever.
    pub ttl: Option<Duration>,
    /// Which of several addresses.
    pub select: DnsSelect,
    /// Which family.
    pub policy: DnsPolicy,
}

/// Which of several addresses is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the option")]
pub enum DnsSelect {
    First,
    Random,
    RoundRobin,
}

/// Which family of addresses is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the option")]
pub enum DnsPolicy {
    PreferIpv4,
    PreferIpv6,
    OnlyIpv4,
    OnlyIpv6,
    Any,
}

/// A version of TLS, or of SSL, which is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words of the option")]
pub enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

/// A client certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsAuth {
    /// PEM.
    pub cert: String,
    /// PEM.
    pub key: String,
    /// Of the key.
    pub password: Option<String>,
    /// Hosts it is for; all when empty.
    pub domains: Vec<String>,
}

impl std::fmt::Debug for TlsAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsAuth").field("domains", &self.domains).finish_non_exhaustive()
    }
}

/// Whether requests and responses are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpDebug {
    /// Not at all.
    Off,
    /// Without bodies.
    Headers,
    /// With bodies.
    Full,
}

/// The unit of times in the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the option")]
pub enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
}

/// What may be said of a trend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrendStat {
    /// The mean.
    Avg,
    /// The least.
    Min,
    /// The median.
    Med,
    /// The greatest.
    Max,
    /// How many.
    Count,
    /// The value that so many per cent do not exceed.
    Percentile(f64),
}

#[cfg(test)]
mod tests;
