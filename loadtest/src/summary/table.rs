//! The metrics of the end-of-test text.

use std::borrow::Cow;

use super::{EXPECTED, Mode, Summary, format};
use crate::metrics::{Kind, Metric, MetricId, ScenarioPart, Sink};

/// Whose metrics are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) summary: &'a Summary<'a>,
    /// A scenario, and perhaps a group of it; the whole run when none.
    pub(super) part: Option<(&'a ScenarioPart, Option<&'a str>)>,
}

impl<'a> View<'a> {
    fn sink(&self, id: MetricId) -> Option<Cow<'a, Sink>> {
        match self.part {
            Some((scenario, group)) => scenario.sink(id, group).map(Cow::Owned),
            None => self.summary.totals.sink(id).map(Cow::Borrowed),
        }
    }
}

/// Metrics shown of requests when there is little room.
const COMPACT: &[&str] = &["http_req_duration", "http_req_failed", "http_reqs"];

/// Sections and the metrics in them: those whose name begins so.
const SECTIONS: &[(&str, &[&str])] = &[
    ("HTTP", &["http_req"]),
    (
        "LATENCY FROM THE SCHEDULED START",
        &["http_req_latency", "iteration_latency", "schedule_lag"],
    ),
    ("EXECUTION", &["dropped_iterations", "iteration_duration", "iterations", "vus"]),
    ("NETWORK", &["data_"]),
    ("WEBSOCKET", &["ws_"]),
    ("GRPC", &["grpc_"]),
];

/// A metric's line: its name and the columns after it.
struct Line {
    section: &'static str,
    name: String,
    /// The name that the width is computed from.
    full_name: usize,
    first: String,
    more: Vec<String>,
    is_trend: bool,
}

/// The lines of all metrics by section.
pub(super) fn metrics(view: View<'_>, mode: Mode, indent: &str) -> String {
    let summary = view.summary;
    let lines: Vec<Line> =
        summary.shown().filter_map(|(id, metric)| line(view, mode, id, metric)).collect();
    let longest = |length: fn(&Line) -> usize| lines.iter().map(length).max().unwrap_or(0);
    // As wide as k6 makes it.
    let label = longest(|line| line.name.len()) + longest(|line| line.full_name) + 3;
    let widest = |trend: bool, column: usize| {
        let same = lines.iter().filter(|line| line.is_trend == trend);
        let column = same.filter_map(|line| line.more.get(column));
        column.map(|column| column.chars().count()).max().unwrap_or(0)
    };
    let first = lines.iter().filter(|line| !line.is_trend);
    let first = first.map(|line| line.first.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let sections = SECTIONS.iter().map(|(section, _)| *section);
    for section in std::iter::once("CUSTOM").chain(sections) {
        let of_section: Vec<&Line> = lines.iter().filter(|line| line.section == section).collect();
        if of_section.is_empty() {
            continue;
        }
        text += &format!("\n{indent}{section}\n");
        for line in of_section {
            let mut columns = Vec::new();
            if !line.is_trend {
                columns.push(format!("{:first$}", line.first));
            }
            let padded = line.more.len() > 1 || line.is_trend;
            columns.extend(line.more.iter().enumerate().map(|(i, column)| {
                let width = if padded { widest(line.is_trend, i) } else { 0 };
                format!("{column:width$}")
            }));
            text += &format!("{indent}{:.<label$}: {}\n", line.name, columns.join(" "));
        }
    }
    text
}

/// The line of a metric, if it is shown.
fn line(view: View<'_>, mode: Mode, id: MetricId, metric: &Metric) -> Option<Line> {
    let summary = view.summary;
    let parent = metric.parent.map(|parent| summary.totals.registry().metric(parent));
    let base = parent.map_or(&*metric.name, |parent| &*parent.name);
    let is_part = parent.is_some();
    let sink = view.sink(id);
    // Of a part of the run only what was counted there, and whole metrics.
    if view.part.is_some() && (is_part || sink.is_none()) {
        return None;
    }
    // As in k6, traffic is a matter of scenarios.
    if view.part.is_some_and(|(_, group)| group.is_some()) && base.starts_with("data_") {
        return None;
    }
    let shown = !matches!(base, "checks" | "group_duration")
        && (mode == Mode::Full || !base.starts_with("http_req_b") || COMPACT.contains(&base))
        && (!is_part || *metric.name == *EXPECTED || !summary.thresholds.of(id).is_empty());
    let section = section(base, metric.parent.unwrap_or(id));
    if !shown || (mode == Mode::Compact && section == "HTTP" && !COMPACT.contains(&base)) {
        return None;
    }
    let name = match metric.name.split_once('{') {
        Some((_, filter)) if is_part => format!("  {{ {} }}", filter.trim_end_matches('}').trim()),
        _ => metric.name.to_string(),
    };
    let (first, more) = columns(summary, metric, sink);
    let is_trend = metric.kind == Kind::Trend;
    Some(Line { section, name, full_name: metric.name.len(), first, more, is_trend })
}

fn section(base: &str, id: MetricId) -> &'static str {
    if id > crate::metrics::builtin::SCHEDULE_LAG {
        return "CUSTOM";
    }
    let exact = SECTIONS.iter().find(|(_, names)| names.contains(&base));
    let begins = |(_, names): &&(&str, &[&str])| names.iter().any(|name| base.starts_with(name));
    exact.or_else(|| SECTIONS.iter().find(begins)).map_or("EXECUTION", |(section, _)| section)
}

/// The first column, empty for trends, and the others.
fn columns(
    summary: &Summary<'_>,
    metric: &Metric,
    sink: Option<Cow<'_, Sink>>,
) -> (String, Vec<String>) {
    let value = |value| format::value(value, metric.contains, summary.options.summary_time_unit);
    let sink = sink.unwrap_or_else(|| Cow::Owned(Sink::new(metric.kind)));
    match &*sink {
        Sink::Counter(counter) => {
            let rate = counter.per_second(summary.elapsed);
            (value(counter.sum), vec![format!("{}/s", value(rate))])
        }
        Sink::Gauge(gauge) => (
            value(gauge.value),
            vec![format!("min={}", value(gauge.min)), format!("max={}", value(gauge.max))],
        ),
        Sink::Rate(rate) => {
            let share = format::percent(rate.rate());
            (share, vec![format!("{} out of {}", rate.passes, rate.total)])
        }
        Sink::Trend(trend) => {
            let stats = summary.options.summary_trend_stats.iter();
            let each = stats.map(|stat| match stat {
                crate::options::TrendStat::Count => format!("count={}", trend.count()),
                stat => format!("{}={}", stat.name(), value(stat.of(trend))),
            });
            (String::new(), each.collect())
        }
    }
}
