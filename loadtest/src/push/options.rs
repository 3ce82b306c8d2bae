//! Where to push, how often and as whom: k6's variables.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::options::{OptionsError, TrendStat, parse_duration};

/// How it is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// Prometheus remote write.
    RemoteWrite {
        /// What is said of trends.
        stats: Vec<TrendStat>,
    },
    /// OpenTelemetry over HTTP.
    Otlp {
        /// Before the names of metrics.
        prefix: String,
    },
}

/// See the module's page.
#[derive(Clone, Debug, PartialEq)]
pub struct PushOptions {
    /// To whom.
    pub url: String,
    /// How it is said.
    pub protocol: Protocol,
    /// How often.
    pub interval: Duration,
    /// Headers beside those of the protocol.
    pub headers: Vec<(String, String)>,
    /// Whether any certificate will do.
    pub insecure: bool,
}

impl PushOptions {
    /// Of Prometheus remote write; a `url` wins over `K6_PROMETHEUS_RW_SERVER_URL`.
    ///
    /// # Errors
    /// A variable that makes no sense.
    pub fn remote_write(
        url: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OptionsError> {
        let variable = |name: &str| variable(&format!("K6_PROMETHEUS_RW_{name}"));
        let wrong = |name: &str, problem: String| {
            OptionsError::new(format!("K6_PROMETHEUS_RW_{name}"), problem)
        };
        let stats = variable("TREND_STATS").unwrap_or_else(|| "p(99)".to_owned());
        let stats = stats.split(',').map(|stat| {
            TrendStat::parse(stat.trim())
                .ok_or_else(|| wrong("TREND_STATS", format!("there is no '{stat}'")))
        });
        let mut headers =
            pairs("K6_PROMETHEUS_RW_HTTP_HEADERS", variable("HTTP_HEADERS"), [',', ':'])?;
        let credentials = variable("USERNAME").zip(variable("PASSWORD"));
        if let Some((name, password)) = credentials {
            let basic = STANDARD.encode(format!("{name}:{password}"));
            headers.push(("Authorization".to_owned(), format!("Basic {basic}")));
        } else if let Some(token) = variable("BEARER_TOKEN") {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        let default = || "http://localhost:9090/api/v1/write".to_owned();
        Ok(Self {
            url: given(url).or_else(|| variable("SERVER_URL")).unwrap_or_else(default),
            protocol: Protocol::RemoteWrite { stats: stats.collect::<Result<_, _>>()? },
            interval: interval("K6_PROMETHEUS_RW_PUSH_INTERVAL", variable("PUSH_INTERVAL"), 5)?,
            headers,
            insecure: variable("INSECURE_SKIP_TLS_VERIFY").is_some_and(|text| text == "true"),
        })
    }

    /// Of OpenTelemetry; a `url` wins over `K6_OTEL_HTTP_EXPORTER_ENDPOINT`.
    ///
    /// # Errors
    /// A variable that makes no sense.
    pub fn otlp(
        url: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OptionsError> {
        let variable = |name: &str| variable(&format!("K6_OTEL_{name}"));
        let is_true = |name: &str| variable(name).is_some_and(|text| text == "true");
        let kind = variable("EXPORTER_TYPE").or_else(|| variable("EXPORTER_PROTOCOL"));
        if kind.is_some_and(|kind| !kind.starts_with("http")) {
            let problem = "only http/protobuf is supported by weir-load";
            return Err(OptionsError::new("K6_OTEL_EXPORTER_PROTOCOL", problem));
        }
        let endpoint = variable("HTTP_EXPORTER_ENDPOINT").map(|endpoint| {
            let path = variable("HTTP_EXPORTER_URL_PATH").unwrap_or_else(|| "/v1/metrics".into());
            let scheme = if is_true("HTTP_EXPORTER_INSECURE") { "http" } else { "https" };
            let bare = endpoint.trim_end_matches('/');
            match bare.contains("://") {
                true => format!("{bare}{path}"),
                false => format!("{scheme}://{bare}{path}"),
            }
        });
        Ok(Self {
            url: given(url)
                .or(endpoint)
                .unwrap_or_else(|| "http://localhost:4318/v1/metrics".to_owned()),
            protocol: Protocol::Otlp { prefix: variable("METRIC_PREFIX").unwrap_or_default() },
            interval: interval("K6_OTEL_FLUSH_INTERVAL", variable("FLUSH_INTERVAL"), 1)?,
            headers: pairs("K6_OTEL_HEADERS", variable("HEADERS"), [',', '='])?,
            insecure: is_true("TLS_INSECURE_SKIP_VERIFY"),
        })
    }
}

fn given(url: &str) -> Option<String> {
    (!url.is_empty()).then(|| url.to_owned())
}

fn interval(name: &str, text: Option<String>, seconds: u64) -> Result<Duration, OptionsError> {
    let Some(text) = text else { return Ok(Duration::from_secs(seconds)) };
    let parsed = parse_duration(&text).map_err(|e| OptionsError::new(name, e.to_string()))?;
    if parsed.is_zero() {
        return Err(OptionsError::new(name, "must be more than 0"));
    }
    Ok(parsed)
}

/// `a=1,b=2`, with other separators perhaps.
fn pairs(
    name: &str,
    text: Option<String>,
    [between, within]: [char; 2],
) -> Result<Vec<(String, String)>, OptionsError> {
    let text = text.unwrap_or_default();
    let words = text.split(between).map(str::trim).filter(|word| !word.is_empty());
    let pair = |word: &str| {
        let (key, value) = word.split_once(within)?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    };
    words
        .map(|word| {
            let problem = || format!("'{word}' has no '{within}'");
            pair(word).ok_or_else(|| OptionsError::new(name, problem()))
        })
        .collect()
}
