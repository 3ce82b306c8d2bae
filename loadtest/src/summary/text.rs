//! The end-of-test text.

use super::{Divergence, EXPECTED, Mode, Summary, format};
use crate::{
    metrics::{Check, Contains, Kind, Metric, MetricId, Sink},
    threshold::OfMetric,
};

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";
const RESET: &str = "\u{1b}[0m";

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

pub(super) fn write(summary: &Summary<'_>, mode: Mode, colors: bool) -> String {
    let mut text = String::new();
    let mark = |passed: bool| match (passed, colors) {
        (true, true) => format!("{GREEN}\u{2713}{RESET}"),
        (false, true) => format!("{RED}\u{2717}{RESET}"),
        (true, false) => "\u{2713}".to_owned(),
        (false, false) => "\u{2717}".to_owned(),
    };
    if !summary.thresholds.is_empty() {
        text += "\n\n  \u{2588} THRESHOLDS \n";
        let mut sorted: Vec<&OfMetric> = summary.thresholds.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        for of_metric in sorted {
            text += &format!("\n    {}\n", of_metric.name);
            let metric = summary.totals.registry().metric(of_metric.metric);
            for threshold in &of_metric.thresholds {
                let value = stood_at(summary, of_metric, metric, threshold.expression());
                let mark = mark(!threshold.crossed);
                text += &format!("    {mark} '{}' {value}\n", threshold.source);
            }
        }
    }
    text += "\n\n  \u{2588} TOTAL RESULTS \n";
    let groups = summary.totals.groups();
    let all: Vec<&Check> = groups.iter().flat_map(|group| &group.checks).collect();
    text += &checks(summary, &all, "    ", mark);
    text += &metrics(summary, mode);
    if mode == Mode::Full {
        for group in groups.iter().filter(|group| !group.path.is_empty()) {
            let depth = group.path.matches("::").count();
            let name = group.path.rsplit("::").next().unwrap_or_default();
            let indent = "  ".repeat(depth + 1);
            text += &format!("\n{indent}\u{21b3} GROUP: {name} \n");
            let checks_of: Vec<&Check> = group.checks.iter().collect();
            text += &checks(summary, &checks_of, &format!("{indent}  "), mark);
        }
    }
    if let Some(divergence) = summary.divergence() {
        text += &warnings(divergence, colors);
    }
    text + "\n\n\n"
}

/// What a threshold was compared with.
fn stood_at(
    summary: &Summary<'_>,
    of_metric: &OfMetric,
    metric: &Metric,
    expression: &crate::threshold::Expression,
) -> String {
    let sink = summary.totals.sink(of_metric.metric);
    let value = expression.value(metric.kind, sink, summary.elapsed).unwrap_or(0.0);
    let method = expression.method();
    let unit = summary.options.summary_time_unit;
    let value = match metric.kind {
        Kind::Rate => format::percent(value),
        Kind::Counter if method == "rate" => {
            format!("{}/s", format::value(value, metric.contains, unit))
        }
        Kind::Counter | Kind::Gauge | Kind::Trend => format::value(value, metric.contains, unit),
    };
    format!("{method}={value}")
}

fn checks(
    summary: &Summary<'_>,
    all: &[&Check],
    indent: &str,
    mark: impl Fn(bool) -> String,
) -> String {
    let passes: u64 = all.iter().map(|check| check.passes).sum();
    let fails: u64 = all.iter().map(|check| check.fails).sum();
    let total = passes + fails;
    if total == 0 {
        return String::new();
    }
    let per_second = total as f64 / summary.elapsed.as_secs_f64().max(1e-9);
    let share = |part: u64| {
        let share = format::percent(part as f64 / total as f64);
        (share, format!("{part} out of {total}"))
    };
    let rows = [
        ("checks_total", (total.to_string(), format!("{}/s", format::plain(per_second)))),
        ("checks_succeeded", share(passes)),
        ("checks_failed", share(fails)),
    ];
    let width = rows.iter().map(|(_, (first, _))| first.len()).max().unwrap_or(0);
    let mut text = "\n".to_owned();
    for (name, (first, more)) in rows {
        text += &format!("{indent}{name:.<35}: {first:width$} {more}\n");
    }
    text += "\n";
    for check in all {
        text += &format!("{indent}{} {}\n", mark(check.fails == 0), check.name);
        if check.fails > 0 {
            let percent = 100 * check.passes / (check.passes + check.fails);
            let Check { passes, fails, .. } = check;
            text += &format!(
                "{indent}  \u{21b3}  {percent}% \u{2014} \u{2713} {passes} / \u{2717} {fails}\n"
            );
        }
    }
    text
}

fn metrics(summary: &Summary<'_>, mode: Mode) -> String {
    let lines: Vec<Line> =
        summary.shown().filter_map(|(id, metric)| line(summary, mode, id, metric)).collect();
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
        text += &format!("\n    {section}\n");
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
            text += &format!("    {:.<label$}: {}\n", line.name, columns.join(" "));
        }
    }
    text
}

/// The line of a metric, if it is shown.
fn line(summary: &Summary<'_>, mode: Mode, id: MetricId, metric: &Metric) -> Option<Line> {
    let parent = metric.parent.map(|parent| summary.totals.registry().metric(parent));
    let base = parent.map_or(&*metric.name, |parent| &*parent.name);
    let is_part = parent.is_some();
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
    let (first, more) = columns(summary, id, metric);
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
fn columns(summary: &Summary<'_>, id: MetricId, metric: &Metric) -> (String, Vec<String>) {
    let value = |value| format::value(value, metric.contains, summary.options.summary_time_unit);
    let empty;
    let sink = match summary.totals.sink(id) {
        Some(sink) => sink,
        None => {
            empty = Sink::new(metric.kind);
            &empty
        }
    };
    match sink {
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

/// What must be known before the numbers above are believed.
fn warnings(divergence: Divergence, colors: bool) -> String {
    let time = |ms| format::value(ms, Contains::Time, None);
    let mut text = String::new();
    let mut warn = |warning: String| {
        let (red, reset) = if colors { (RED, RESET) } else { ("", "") };
        text += &format!("\n    {red}! {warning}{reset}\n");
    };
    if divergence.is_large() {
        warn(format!(
            "requests waited before they were sent: p(99) is {} from their own start, but {} from \
             when they should have begun; the latter is what users would see",
            time(divergence.service_ms),
            time(divergence.response_ms),
        ));
    }
    if divergence.is_late() {
        warn(format!(
            "this machine began iterations late: p(99) {}; its latencies are no verdict",
            time(divergence.lag_ms),
        ));
    }
    text
}
