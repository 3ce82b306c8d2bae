//! From one JSON object to checked options.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    HttpDebug, Options, OptionsError, SystemTags, ThresholdOption, TimeUnit, TrendStat, network,
    reader::Reader, scenarios,
};

/// All options there are.
const KNOWN: &[&str] = &[
    "batch",
    "batchPerHost",
    "blacklistIPs",
    "blockHostnames",
    "cloud",
    "discardResponseBodies",
    "dns",
    "duration",
    "executionSegment",
    "executionSegmentSequence",
    "ext",
    "handleSummaryTimeout",
    "hosts",
    "httpDebug",
    "httpVersion",
    "insecureSkipTLSVerify",
    "iterations",
    "linger",
    "localIPs",
    "maxRedirects",
    "minIterationDuration",
    "noConnectionReuse",
    "noCookiesReset",
    "noUsageReport",
    "noVUConnectionReuse",
    "paused",
    "rps",
    "scenarios",
    "setupTimeout",
    "stages",
    "summaryTimeUnit",
    "summaryTrendStats",
    "systemTags",
    "tags",
    "teardownTimeout",
    "thresholds",
    "throw",
    "tlsAuth",
    "tlsCipherSuites",
    "tlsVersion",
    "userAgent",
    "vus",
    "vusMax",
];

/// Those that would do something in k6 and do nothing here.
const WITHOUT_EFFECT: &[&str] = &[
    "cloud",
    "dns",
    "httpDebug",
    "linger",
    "localIPs",
    "paused",
    "rps",
    "tlsAuth",
    "tlsCipherSuites",
    "tlsVersion",
    "vusMax",
];

pub(super) fn options(mut layer: Map<String, Value>) -> Result<Options, OptionsError> {
    let options = Reader::new(String::new(), &layer);
    let mut warnings = Vec::new();
    for key in options.unknown(KNOWN) {
        warnings.push(format!("there is no option `{key}`"));
    }
    for key in WITHOUT_EFFECT.iter().filter(|key| layer.get(**key).is_some_and(asks)) {
        warnings.push(format!("the option `{key}` has no effect here"));
    }
    for key in ["executionSegment", "executionSegmentSequence"] {
        if options.text(key)?.is_some_and(|segment| !matches!(segment, "" | "0:1" | "0,1")) {
            return Err(options.error(key, "is not supported: the whole test runs here"));
        }
    }
    let scenarios = scenarios::scenarios(&options, &mut warnings)?;
    let or =
        |key, seconds| Ok(options.duration(key)?.unwrap_or_else(|| Duration::from_secs(seconds)));
    let flag = |key| Ok(options.flag(key)?.unwrap_or(false));
    let decoded = Options {
        thresholds: thresholds(&options)?,
        tags: options.pairs("tags")?,
        system_tags: match options.value("systemTags") {
            Some(_) => SystemTags::of(options.texts("systemTags")?),
            None => SystemTags::DEFAULT,
        },
        hosts: network::hosts(&options)?,
        dns: network::dns(&options)?,
        blacklist_ips: network::blacklist_ips(&options)?,
        block_hostnames: network::block_hostnames(&options)?,
        local_ips: network::local_ips(&options)?,
        insecure_skip_tls_verify: flag("insecureSkipTLSVerify")?,
        tls_version: network::tls_version(&options)?,
        tls_cipher_suites: owned(options.texts("tlsCipherSuites")?),
        tls_auth: network::tls_auth(&options)?,
        http_version: network::http_version(&options)?,
        no_connection_reuse: flag("noConnectionReuse")?,
        no_vu_connection_reuse: flag("noVUConnectionReuse")?,
        no_cookies_reset: flag("noCookiesReset")?,
        max_redirects: options.count("maxRedirects")?.unwrap_or(10),
        user_agent: options.text("userAgent")?.map(str::to_owned),
        batch: options.count("batch")?.unwrap_or(20),
        batch_per_host: options.count("batchPerHost")?.unwrap_or(6),
        rps: rps(&options)?,
        http_debug: match options.text("httpDebug")? {
            None | Some("") => HttpDebug::Off,
            Some("full") => HttpDebug::Full,
            Some(_) => HttpDebug::Headers,
        },
        throw: flag("throw")?,
        discard_response_bodies: flag("discardResponseBodies")?,
        min_iteration_duration: or("minIterationDuration", 0)?,
        setup_timeout: or("setupTimeout", 60)?,
        teardown_timeout: or("teardownTimeout", 60)?,
        handle_summary_timeout: or("handleSummaryTimeout", 120)?,
        summary_trend_stats: trend_stats(&options)?,
        summary_time_unit: match options.text("summaryTimeUnit")? {
            Some("s") => Some(TimeUnit::Seconds),
            Some("ms") => Some(TimeUnit::Milliseconds),
            Some("us") => Some(TimeUnit::Microseconds),
            // k6 takes anything else for no unit at all.
            _ => None,
        },
        linger: flag("linger")?,
        scenarios,
        warnings,
        consolidated: Value::Null,
    };
    let all = decoded.scenarios.iter().map(|s| (s.name.clone(), scenarios::to_json(s))).collect();
    layer.insert("scenarios".to_owned(), Value::Object(all));
    Ok(Options { consolidated: Value::Object(layer), ..decoded })
}

/// Whether a value asks for anything.
fn asks(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64().is_none_or(|number| number > 0.0),
        Value::String(text) => !matches!(text.as_str(), "" | "0" | "false"),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// k6 takes 0 and less for no limit.
fn rps(options: &Reader<'_>) -> Result<Option<u32>, OptionsError> {
    if options.value("rps").is_some_and(|rps| rps.to_string().starts_with('-')) {
        return Ok(None);
    }
    Ok(options.count("rps")?.filter(|rps| *rps > 0))
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn thresholds(options: &Reader<'_>) -> Result<Vec<(String, Vec<ThresholdOption>)>, OptionsError> {
    let Some(value) = options.value("thresholds") else { return Ok(Vec::new()) };
    let Value::Object(map) = value else {
        return Err(options.error("thresholds", "must be an object"));
    };
    let reader = Reader::new("thresholds".to_owned(), map);
    let of_metric = |metric: &String| {
        let list = reader.list(metric)?;
        let path = |i| format!("thresholds['{metric}'][{i}]");
        let each = list.iter().enumerate().map(|(i, value)| threshold(path(i), value));
        Ok((metric.clone(), each.collect::<Result<_, _>>()?))
    };
    map.keys().map(of_metric).collect()
}

fn threshold(path: String, value: &Value) -> Result<ThresholdOption, OptionsError> {
    if let Value::String(expression) = value {
        let (abort_on_fail, delay_abort_eval) = (false, Duration::ZERO);
        let expression = expression.clone();
        return Ok(ThresholdOption { expression, abort_on_fail, delay_abort_eval });
    }
    let reader = Reader::of(path, value)?;
    let expression = reader.text("threshold")?;
    Ok(ThresholdOption {
        expression: expression.ok_or_else(|| reader.error("threshold", "is missing"))?.to_owned(),
        abort_on_fail: reader.flag("abortOnFail")?.unwrap_or(false),
        delay_abort_eval: reader.duration("delayAbortEval")?.unwrap_or_default(),
    })
}

fn trend_stats(options: &Reader<'_>) -> Result<Vec<TrendStat>, OptionsError> {
    if options.value("summaryTrendStats").is_none() {
        let percentiles = [TrendStat::Percentile(90.0), TrendStat::Percentile(95.0)];
        let stats = [TrendStat::Avg, TrendStat::Min, TrendStat::Med, TrendStat::Max];
        return Ok(stats.into_iter().chain(percentiles).collect());
    }
    let stat = |text: &str| {
        let error = || options.error("summaryTrendStats", format!("invalid trend stat '{text}'"));
        TrendStat::parse(text).ok_or_else(error)
    };
    options.texts("summaryTrendStats")?.into_iter().map(stat).collect()
}

impl TrendStat {
    /// Parses `avg`, `min`, `med`, `max`, `count` or `p(99.9)`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim() {
            "avg" => Self::Avg,
            "min" => Self::Min,
            "med" => Self::Med,
            "max" => Self::Max,
            "count" => Self::Count,
            other => {
                let percent = other.strip_prefix("p(")?.strip_suffix(')')?.trim();
                let percent = percent.parse().ok().filter(|p| (0.0..=100.0).contains(p));
                Self::Percentile(percent?)
            }
        })
    }

    /// How k6 writes it.
    pub fn name(self) -> String {
        match self {
            Self::Avg => "avg".to_owned(),
            Self::Min => "min".to_owned(),
            Self::Med => "med".to_owned(),
            Self::Max => "max".to_owned(),
            Self::Count => "count".to_owned(),
            Self::Percentile(percent) => format!("p({percent})"),
        }
    }
}
