//! What is said of a run at its end: as text, as the `data` of `handleSummary()`, and as the JSON
//! of `--summary-export`. All three in k6's shapes.

mod format;
mod groups;
mod table;
mod text;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{
    metrics::{Kind, Metric, MetricId, Registry, Sink, Totals, Trend, builtin},
    options::{Options, TimeUnit, TrendStat},
    threshold::Thresholds,
};

/// How much the text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Of requests only their duration, number and failures.
    Compact,
    /// All metrics.
    Full,
}

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// What was counted.
    pub totals: &'a Totals,
    /// As evaluated at the end.
    pub thresholds: &'a Thresholds,
    /// What was asked for.
    pub options: &'a Options,
    /// How long the test ran, without setup and teardown.
    pub elapsed: Duration,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether standard error is one.
    pub stderr_is_terminal: bool,
}

/// The part of `http_req_duration` that is always shown.
const EXPECTED: &str = "http_req_duration{expected_response:true}";

impl Summary<'_> {
    /// The text for the terminal, with colours or without.
    pub fn text(&self, mode: Mode, colors: bool) -> String {
        text::write(self, mode, colors)
    }

    /// What `handleSummary()` is given; `setup` returned `setup_data`, JSON.
    pub fn data(&self, setup_data: Option<&str>) -> Value {
        let stats = &self.options.summary_trend_stats;
        let metrics = self.shown().map(|(id, metric)| {
            let mut value = json!({
                "type": metric.kind.name(),
                "contains": metric.contains.name(),
                "values": self.values(id, metric.kind, "rate"),
            });
            let thresholds = self.thresholds.of(id);
            if !thresholds.is_empty() {
                let each =
                    thresholds.iter().map(|t| (t.source.clone(), json!({ "ok": !t.crossed })));
                value["thresholds"] = Value::Object(each.collect());
            }
            (metric.name.to_string(), value)
        });
        let metrics: Map<String, Value> = metrics.collect();
        json!({
            "root_group": groups::lists(self.totals.groups()),
            "options": {
                "summaryTrendStats": stats.iter().map(|stat| stat.name()).collect::<Vec<_>>(),
                "summaryTimeUnit": self.options.summary_time_unit.map_or("", TimeUnit::name),
                "noColor": false,
            },
            "state": {
                "isStdOutTTY": self.stdout_is_terminal,
                "isStdErrTTY": self.stderr_is_terminal,
                "testRunDurationMs": self.elapsed.as_secs_f64() * 1e3,
            },
            "metrics": metrics,
            "setup_data": setup_data.and_then(|json| serde_json::from_str::<Value>(json).ok()),
        })
    }

    /// What `--summary-export` writes. Of each threshold it says whether it was crossed, as k6
    /// does. Beside k6's keys, `weir` holds what `compare` needs: the histograms of the trends.
    pub fn export(&self) -> Value {
        let metrics = self.shown().map(|(id, metric)| {
            let mut value = self.values(id, metric.kind, "value");
            let thresholds = self.thresholds.of(id);
            if !thresholds.is_empty() {
                let each = thresholds.iter().map(|t| (t.source.clone(), json!(t.crossed)));
                value["thresholds"] = Value::Object(each.collect());
            }
            (metric.name.to_string(), value)
        });
        let metrics: Map<String, Value> = metrics.collect();
        let histograms = self.shown().filter_map(|(id, metric)| match self.totals.sink(id) {
            Some(Sink::Trend(trend)) => Some((metric.name.to_string(), json!(trend.encode()))),
            _ => None,
        });
        let histograms: Map<String, Value> = histograms.collect();
        json!({
            "root_group": groups::objects(self.totals.groups()),
            "metrics": metrics,
            "weir": {
                "version": 1,
                "testRunDurationMs": self.elapsed.as_secs_f64() * 1e3,
                "histogramStepsPerUnit": Trend::STEPS_PER_UNIT,
                "histograms": histograms,
            },
        })
    }

    /// Metrics that had values, or that a threshold looks at, by name.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (MetricId, &Metric)> {
        let registry: &Registry = self.totals.registry();
        let seen = |id| self.totals.sink(id).is_some() || !self.thresholds.of(id).is_empty();
        // With a part that a threshold looks at, k6 shows the whole as well.
        let of_part = |metric: &Metric| {
            metric.submetrics().iter().any(|part| !self.thresholds.of(part.id).is_empty())
        };
        let shown = registry.iter().filter(|(id, metric)| seen(*id) || of_part(metric));
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        shown.into_iter()
    }

    /// What a metric kept, by name; `share` is what k6 calls the share of a rate there.
    pub(crate) fn values(&self, id: MetricId, kind: Kind, share: &str) -> Value {
        let empty;
        let sink = match self.totals.sink(id) {
            Some(sink) => sink,
            None => {
                empty = Sink::new(kind);
                &empty
            }
        };
        match sink {
            Sink::Counter(counter) => json!({
                "count": number(counter.sum),
                "rate": number(counter.per_second(self.elapsed)),
            }),
            Sink::Gauge(gauge) => {
                let (value, min, max) = (gauge.value, gauge.min, gauge.max);
                json!({ "value": number(value), "min": number(min), "max": number(max) })
            }
            Sink::Rate(rate) => {
                let (passes, fails) = (rate.passes, rate.total - rate.passes);
                json!({ share: number(rate.rate()), "passes": passes, "fails": fails })
            }
            Sink::Trend(trend) => {
                let stats = self.options.summary_trend_stats.iter();
                let each = stats.map(|stat| (stat.name(), number(stat.of(trend))));
                Value::Object(each.collect())
            }
        }
    }

    /// How much longer requests took seen from the schedule than seen from their own start, by the
    /// 99th percentile; none without an arrival-rate scenario.
    pub fn divergence(&self) -> Option<Divergence> {
        let p99 = |id| match self.totals.sink(id) {
            Some(Sink::Trend(trend)) => Some(trend.percentile(99.0)),
            _ => None,
        };
        let service_ms = p99(builtin::HTTP_REQ_DURATION)?;
        let response_ms = p99(builtin::HTTP_REQ_LATENCY)?;
        let lag_ms = p99(builtin::SCHEDULE_LAG).unwrap_or(0.0);
        Some(Divergence { service_ms, response_ms, lag_ms })
    }
}

/// Two views of how long requests took, both as 99th percentiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// From the request's own start.
    pub service_ms: f64,
    /// From when its iteration should have begun.
    pub response_ms: f64,
    /// How late the generator itself was.
    pub lag_ms: f64,
}

impl Divergence {
    /// Whether the first must not be read without the second.
    pub fn is_large(&self) -> bool {
        self.response_ms > 2.0 * self.service_ms && self.response_ms - self.service_ms > 1.0
    }

    /// Whether the generator itself was too late to judge others.
    pub fn is_late(&self) -> bool {
        self.lag_ms > 1.0
    }
}

impl TrendStat {
    /// What `trend` has of it.
    pub fn of(self, trend: &Trend) -> f64 {
        match self {
            Self::Avg => trend.avg(),
            Self::Min => trend.min(),
            Self::Med => trend.percentile(50.0),
            Self::Max => trend.max(),
            Self::Count => trend.count() as f64,
            Self::Percentile(percent) => trend.percentile(percent),
        }
    }
}

impl TimeUnit {
    /// k6's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
        }
    }
}

pub(crate) use self::format::plain;

/// A number as JavaScript would write it: without a fraction when it has none.
pub(crate) fn number(value: f64) -> Value {
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    if whole { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests;
