//! The HTML report: one file without scripts, which needs nothing but a browser.

mod chart;
mod timeline;

use crate::{
    metrics::{Kind, Sink, builtin},
    options::format_duration,
    summary::Summary,
    threshold::OfMetric,
};

pub use self::timeline::{Slot, Timeline};

const STYLE: &str = include_str!("report/style.css");

/// The report of a run, named `title`.
pub fn html(title: &str, summary: &Summary<'_>, timeline: &Timeline) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    page += &headline(summary);
    let mut section = |id: &str, name: &str, content: String| {
        if !content.is_empty() {
            page += &format!("<section id=\"{id}\">\n<h2>{name}</h2>\n{content}</section>\n");
        }
    };
    section("thresholds", "Thresholds", thresholds(summary));
    section("rate", "Requests per second", chart::rate(timeline));
    section("heat", "Latency over time", chart::heat(timeline));
    section("percentiles", "Latency by percentile", chart::percentiles(summary));
    section("errors", "Failed requests and dropped iterations", chart::errors(timeline));
    section("checks", "Checks", checks(summary));
    section("metrics", "Metrics", metrics(summary));
    page + "</body>\n</html>\n"
}

/// The few numbers that are looked for first.
fn headline(summary: &Summary<'_>) -> String {
    let mut cards = vec![("duration", format_duration(round(summary.elapsed)))];
    if let Some(Sink::Counter(requests)) = summary.totals.sink(builtin::HTTP_REQS) {
        cards.push(("requests", format!("{}", requests.sum)));
        cards.push(("requests/s", format!("{:.1}", requests.per_second(summary.elapsed))));
    }
    if let Some(Sink::Rate(failed)) = summary.totals.sink(builtin::HTTP_REQ_FAILED) {
        cards.push(("failed", format!("{:.2}%", failed.rate() * 100.0)));
    }
    for (id, name) in [
        (builtin::HTTP_REQ_DURATION, "p99 service time"),
        (builtin::HTTP_REQ_LATENCY, "p99 from the schedule"),
    ] {
        if let Some(Sink::Trend(trend)) = summary.totals.sink(id) {
            cards.push((name, format!("{:.2} ms", trend.percentile(99.0))));
        }
    }
    let cards = cards.iter().map(|(name, value)| format!("<div><b>{value}</b>{name}</div>\n"));
    let mut text = format!("<div class=\"cards\">\n{}</div>\n", cards.collect::<String>());
    if summary.divergence().is_some_and(|divergence| divergence.is_large()) {
        text += "<p class=\"bad\">Requests waited before they were sent: read the times from the \
                 schedule, not the service times.</p>\n";
    }
    if summary.divergence().is_some_and(|divergence| divergence.is_late()) {
        text +=
            "<p class=\"bad\">The generator itself was late: its latencies are no verdict.</p>\n";
    }
    text
}

fn round(elapsed: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

fn thresholds(summary: &Summary<'_>) -> String {
    let rows = |of_metric: &OfMetric| -> String {
        let metric = summary.totals.registry().metric(of_metric.metric);
        let sink = summary.totals.sink(of_metric.metric);
        let row = |threshold: &crate::threshold::Threshold| {
            let value = threshold.expression().value(metric.kind, sink, summary.elapsed);
            let value = value.map_or_else(|| "no values".to_owned(), |value| format!("{value:.4}"));
            let (class, verdict) =
                if threshold.crossed { ("bad", "crossed") } else { ("good", "held") };
            let (name, source) = (escaped(&of_metric.name), escaped(&threshold.source));
            format!(
                "<tr><td>{name}</td><td><code>{source}</code></td><td>{value}</td>\
                 <td class=\"{class}\">{verdict}</td></tr>\n"
            )
        };
        of_metric.thresholds.iter().map(row).collect()
    };
    let rows: String = summary.thresholds.iter().map(rows).collect();
    table(&["metric", "threshold", "value", "verdict"], &rows)
}

fn checks(summary: &Summary<'_>) -> String {
    let groups = summary.totals.groups().iter();
    let rows = groups.flat_map(|group| group.checks.iter().map(move |check| (group, check)));
    let row = |(group, check): (&crate::metrics::Group, &crate::metrics::Check)| {
        let class = if check.fails > 0 { "bad" } else { "good" };
        let (path, name) = (escaped(&group.path), escaped(&check.name));
        let crate::metrics::Check { passes, fails, .. } = check;
        format!(
            "<tr><td>{path}</td><td>{name}</td><td>{passes}</td><td class=\"{class}\">{fails}</td>\
             </tr>\n"
        )
    };
    table(&["group", "check", "passed", "failed"], &rows.map(row).collect::<String>())
}

fn metrics(summary: &Summary<'_>) -> String {
    let row = |(id, metric): (crate::metrics::MetricId, &crate::metrics::Metric)| {
        let share = if metric.kind == Kind::Rate { "rate" } else { "" };
        let values = summary.values(id, metric.kind, share);
        let values = values.as_object().into_iter().flatten();
        let value = |(name, value): (&String, &serde_json::Value)| {
            let value = value.as_f64().unwrap_or(0.0);
            format!("{}=<b>{}</b> ", escaped(name), crate::summary::plain(value))
        };
        let values: String = values.map(value).collect();
        let (name, kind) = (escaped(&metric.name), metric.kind.name());
        format!("<tr><td>{name}</td><td>{kind}</td><td>{values}</td></tr>\n")
    };
    table(&["metric", "kind", "values"], &summary.shown().map(row).collect::<String>())
}

/// A table, or nothing when it would have no rows.
fn table(columns: &[&str], rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head: String = columns.iter().map(|column| format!("<th>{column}</th>")).collect();
    format!("<table>\n<tr>{head}</tr>\n{rows}</table>\n")
}

/// `text` as HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
