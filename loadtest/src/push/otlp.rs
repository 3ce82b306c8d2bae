//! OpenTelemetry's metrics over HTTP (<https://opentelemetry.io/docs/specs/otlp/>), cumulative;
//! as k6 has them: counters are sums, rates two of them (`.occurred` of `.total`), trends
//! histograms.

use std::time::Duration;

use super::{protobuf::Message, series::AllSeries};
use crate::metrics::{Contains, MetricId, Registry, Sink, TagSet, Trend};

/// What the body is.
pub(super) const HEADERS: &[(&str, &str)] = &[("Content-Type", "application/x-protobuf")];

/// OpenTelemetry's own bounds, and lower ones, since many a server answers within a millisecond.
const BOUNDS: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0,
    2500.0, 5000.0, 7500.0, 10000.0,
];

const CUMULATIVE: u64 = 2;

/// From when to when values are.
#[derive(Clone, Copy)]
struct Span {
    begun: u64,
    now: u64,
}

/// An `ExportMetricsServiceRequest`.
pub(super) fn encode(
    registry: &Registry,
    series: &AllSeries,
    prefix: &str,
    begun: Duration,
    now: Duration,
) -> Vec<u8> {
    let span = Span { begun: begun.as_nanos() as u64, now: now.as_nanos() as u64 };
    let mut request = Message::default();
    request.message(1, |resource_metrics| {
        resource_metrics.message(1, |resource| {
            resource.message(1, |pair| attribute(pair, "service.name", "weir-load"));
        });
        resource_metrics.message(2, |scope_metrics| {
            scope_metrics.message(1, |scope| {
                scope.bytes(1, b"weir-load").bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            let sorted = series.sorted();
            for of_metric in sorted.chunk_by(|(a, ..), (b, ..)| a == b) {
                metric(scope_metrics, registry, prefix, of_metric, span);
            }
        });
    });
    request.into_bytes()
}

/// The messages of one metric's series.
fn metric(
    scope: &mut Message,
    registry: &Registry,
    prefix: &str,
    series: &[(MetricId, &TagSet, &Sink)],
    span: Span,
) {
    let Some((id, _, first)) = series.first() else { return };
    let metric = registry.metric(*id);
    let name = |suffix: &str| format!("{prefix}{}{suffix}", metric.name);
    let unit = match metric.contains {
        Contains::Time => "ms",
        Contains::Data => "By",
        Contains::Default => "1",
    };
    match first {
        Sink::Counter(_) => sum(scope, &name(""), unit, series, span, |sink| match sink {
            Sink::Counter(counter) => counter.sum,
            _ => 0.0,
        }),
        Sink::Rate(_) => {
            let part = |passes: bool| {
                move |sink: &Sink| match sink {
                    Sink::Rate(rate) if passes => rate.passes as f64,
                    Sink::Rate(rate) => rate.total as f64,
                    _ => 0.0,
                }
            };
            sum(scope, &name(".occurred"), unit, series, span, part(true));
            sum(scope, &name(".total"), unit, series, span, part(false));
        }
        Sink::Gauge(_) => {
            scope.message(2, |message| {
                message.bytes(1, name("").as_bytes()).bytes(3, unit.as_bytes());
                message.message(5, |gauge| {
                    for (_, tags, sink) in series {
                        let Sink::Gauge(value) = sink else { continue };
                        gauge.message(1, |point| number(point, tags, value.value, span));
                    }
                });
            });
        }
        Sink::Trend(_) => {
            scope.message(2, |message| {
                message.bytes(1, name("").as_bytes()).bytes(3, unit.as_bytes());
                message.message(9, |histogram| {
                    for (_, tags, sink) in series {
                        let Sink::Trend(trend) = sink else { continue };
                        histogram.message(1, |point| distribution(point, tags, trend, span));
                    }
                    histogram.varint(2, CUMULATIVE);
                });
            });
        }
    }
}

fn sum(
    scope: &mut Message,
    name: &str,
    unit: &str,
    series: &[(MetricId, &TagSet, &Sink)],
    span: Span,
    value: impl Fn(&Sink) -> f64,
) {
    scope.message(2, |message| {
        message.bytes(1, name.as_bytes()).bytes(3, unit.as_bytes());
        message.message(7, |sum| {
            for (_, tags, sink) in series {
                sum.message(1, |point| number(point, tags, value(sink), span));
            }
            sum.varint(2, CUMULATIVE).varint(3, 1);
        });
    });
}

fn number(point: &mut Message, tags: &TagSet, value: f64, span: Span) {
    point.fixed(2, span.begun).fixed(3, span.now).double(4, value);
    for (key, value) in tags.iter() {
        point.message(7, |pair| attribute(pair, key, value));
    }
}

fn distribution(point: &mut Message, tags: &TagSet, trend: &Trend, span: Span) {
    let mut counts = vec![0u64; BOUNDS.len() + 1];
    for (value, count) in trend.buckets() {
        counts[BOUNDS.partition_point(|bound| *bound < value)] += count;
    }
    point.fixed(2, span.begun).fixed(3, span.now).fixed(4, trend.count());
    point.double(5, trend.sum()).packed(6, counts.into_iter());
    point.packed(7, BOUNDS.iter().map(|bound| bound.to_bits()));
    point.double(11, trend.min()).double(12, trend.max());
    for (key, value) in tags.iter() {
        point.message(9, |pair| attribute(pair, key, value));
    }
}

fn attribute(pair: &mut Message, key: &str, value: &str) {
    pair.bytes(1, key.as_bytes()).message(2, |any| {
        any.bytes(1, value.as_bytes());
    });
}
