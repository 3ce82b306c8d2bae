//! Prometheus remote write 1.0 (<https://prometheus.io/docs/specs/prw/remote_write_spec/>), with
//! k6's names: `k6_` before, `_total`, `_rate` or a statistic after, times in seconds.

use std::time::Duration;

use super::{protobuf::Message, series::AllSeries};
use crate::{
    metrics::{Contains, Registry, Sink, TagSet},
    options::TrendStat,
};

/// What the body is; it is compressed as well.
pub(super) const HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// A `WriteRequest`.
pub(super) fn encode(
    registry: &Registry,
    series: &AllSeries,
    stats: &[TrendStat],
    now: Duration,
) -> Vec<u8> {
    let mut request = Message::default();
    for (id, tags, sink) in series.sorted() {
        let metric = registry.metric(id);
        let mut put = |suffix: &str, value: f64| {
            let name = format!("k6_{}{suffix}", metric.name);
            request.message(1, |message| write(message, &name, tags, value, now));
        };
        match sink {
            Sink::Counter(counter) => put("_total", counter.sum),
            Sink::Gauge(gauge) => put("", gauge.value),
            Sink::Rate(rate) => put("_rate", rate.rate()),
            Sink::Trend(trend) => {
                let unit = if metric.contains == Contains::Time { 1e-3 } else { 1.0 };
                for stat in stats {
                    let name: String =
                        stat.name().chars().filter(char::is_ascii_alphanumeric).collect();
                    put(&format!("_{name}"), stat.of(trend) * unit);
                }
            }
        }
    }
    // It fails only for what does not fit into 4 GiB.
    snap::raw::Encoder::new().compress_vec(&request.into_bytes()).unwrap_or_default()
}

/// A `TimeSeries` of one sample.
fn write(message: &mut Message, name: &str, tags: &TagSet, value: f64, now: Duration) {
    let mut labels: Vec<(String, &str)> = tags
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (label(key), value))
        .collect();
    labels.push(("__name__".to_owned(), name));
    labels.sort();
    for (key, value) in labels {
        message.message(1, |pair| {
            pair.bytes(1, key.as_bytes()).bytes(2, value.as_bytes());
        });
    }
    message.message(2, |sample| {
        sample.double(1, value).varint(2, now.as_millis() as u64);
    });
}

/// What a label may be called.
fn label(key: &str) -> String {
    let begins_badly = key.starts_with(|c: char| c.is_ascii_digit());
    let kept = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    begins_badly.then_some('_').into_iter().chain(kept).collect()
}
