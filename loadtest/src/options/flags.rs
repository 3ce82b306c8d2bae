//! The command line's part of the options.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{DurationError, OptionsError, layers, parse_duration};
use crate::http::Version;

/// Flags that say what a script's options say; k6's names.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Number of virtual users
    #[arg(
        short = 'u', long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = whole
    )]
    pub vus: Option<String>,
    /// How long to run, like 30s or 5m
    #[arg(short, long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<String>,
    /// Iterations in all, shared by the VUs
    #[arg(short, long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = whole)]
    pub iterations: Option<String>,
    /// A stage of a ramp as duration:target; may be given again
    #[arg(short, long = "stage", value_name = "STAGE")]
    pub stages: Vec<String>,
    /// A tag of all samples as name=value; may be given again
    #[arg(long = "tag", value_name = "NAME=VALUE")]
    pub tags: Vec<String>,
    /// Requests of one http.batch() at a time
    #[arg(long, value_name = "NUMBER")]
    pub batch: Option<String>,
    /// Requests of one http.batch() at a time to one host
    #[arg(long, value_name = "NUMBER")]
    pub batch_per_host: Option<String>,
    /// Requests per second at most, in all
    #[arg(long, value_name = "NUMBER")]
    pub rps: Option<String>,
    /// Redirects to follow
    #[arg(long, value_name = "NUMBER")]
    pub max_redirects: Option<String>,
    /// User-Agent of requests
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,
    /// Log requests and responses; with `full`, their bodies too
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "headers")]
    pub http_debug: Option<String>,
    /// The version of HTTP: 1.1, 2 or 3; by default what TLS agrees on, and HTTP/1.1 without
    #[arg(long = "http", value_name = "VERSION", value_parser = Version::WORDS)]
    pub http_version: Option<String>,
    /// Accept any certificate
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,
    /// A connection per request
    #[arg(long)]
    pub no_connection_reuse: bool,
    /// A connection per iteration
    #[arg(long)]
    pub no_vu_connection_reuse: bool,
    /// Make an iteration last at least this long
    #[arg(long, value_name = "DURATION")]
    pub min_iteration_duration: Option<String>,
    /// Throw when a request fails
    #[arg(short = 'w', long)]
    pub throw: bool,
    /// Networks not to connect to, as CIDR
    #[arg(long = "blacklist-ip", value_name = "CIDR")]
    pub blacklist_ips: Vec<String>,
    /// Host names not to resolve
    #[arg(long = "block-hostnames", value_name = "PATTERN")]
    pub block_hostnames: Vec<String>,
    /// How to resolve names: ttl=5m,select=random,policy=preferIPv4
    #[arg(long, value_name = "HOW")]
    pub dns: Option<String>,
    /// Addresses to connect from
    #[arg(long, value_name = "ADDRESSES")]
    pub local_ips: Option<String>,
    /// Read response bodies and forget them
    #[arg(long)]
    pub discard_response_bodies: bool,
    /// What the summary says of trends: avg,min,med,max,count,p(N)
    #[arg(long, value_name = "STATS")]
    pub summary_trend_stats: Option<String>,
    /// Unit of times in the summary: s, ms or us
    #[arg(long, value_name = "UNIT")]
    pub summary_time_unit: Option<String>,
    /// Properties of samples that become tags
    #[arg(long, value_name = "TAGS")]
    pub system_tags: Option<String>,
    /// Wait after the end until interrupted
    #[arg(short, long)]
    pub linger: bool,
}

/// A number as far as the command line is concerned; whether it makes sense, the options say.
fn whole(text: &str) -> Result<String, std::num::ParseIntError> {
    text.parse::<i64>().map(|_| text.to_owned())
}

fn duration(text: &str) -> Result<String, DurationError> {
    parse_duration(text.trim_start_matches('-')).map(|_| text.to_owned())
}

impl Flags {
    /// The flags that were given, as a script would write them.
    pub(super) fn layer(&self) -> Result<Map<String, Value>, OptionsError> {
        let joined = |words: &[String]| (!words.is_empty()).then(|| words.join(","));
        let texts = [
            ("vus", "--vus", self.vus.clone()),
            ("duration", "--duration", self.duration.clone()),
            ("iterations", "--iterations", self.iterations.clone()),
            ("stages", "--stage", joined(&self.stages)),
            ("batch", "--batch", self.batch.clone()),
            ("batchPerHost", "--batch-per-host", self.batch_per_host.clone()),
            ("rps", "--rps", self.rps.clone()),
            ("maxRedirects", "--max-redirects", self.max_redirects.clone()),
            ("userAgent", "--user-agent", self.user_agent.clone()),
            ("httpVersion", "--http", self.http_version.clone()),
            ("httpDebug", "--http-debug", self.http_debug.clone()),
            (
                "minIterationDuration",
                "--min-iteration-duration",
                self.min_iteration_duration.clone(),
            ),
            ("blacklistIPs", "--blacklist-ip", joined(&self.blacklist_ips)),
            ("blockHostnames", "--block-hostnames", joined(&self.block_hostnames)),
            ("dns", "--dns", self.dns.clone()),
            ("localIPs", "--local-ips", self.local_ips.clone()),
            ("summaryTrendStats", "--summary-trend-stats", self.summary_trend_stats.clone()),
            ("summaryTimeUnit", "--summary-time-unit", self.summary_time_unit.clone()),
            ("systemTags", "--system-tags", self.system_tags.clone()),
        ];
        let switches = [
            ("insecureSkipTLSVerify", self.insecure_skip_tls_verify),
            ("noConnectionReuse", self.no_connection_reuse),
            ("noVUConnectionReuse", self.no_vu_connection_reuse),
            ("throw", self.throw),
            ("discardResponseBodies", self.discard_response_bodies),
            ("linger", self.linger),
        ];
        let mut layer = Map::new();
        for (option, flag, text) in texts {
            if let Some(text) = text {
                let error = |problem| OptionsError::new(flag, problem);
                layer.insert(option.to_owned(), layers::parse(option, &text).map_err(error)?);
            }
        }
        let on = switches.into_iter().filter(|(_, on)| *on);
        layer.extend(on.map(|(option, _)| (option.to_owned(), json!(true))));
        // Not joined by commas: a tag's value may hold one.
        let mut tags = Map::new();
        for tag in &self.tags {
            let (key, value) = tag.split_once('=').ok_or_else(|| {
                OptionsError::new("--tag", format!("'{tag}' is not written as name=value"))
            })?;
            tags.insert(key.to_owned(), json!(value));
        }
        if !tags.is_empty() {
            layer.insert("tags".to_owned(), Value::Object(tags));
        }
        Ok(layer)
    }
}
