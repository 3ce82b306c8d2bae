//! The end-of-test text.

use super::{
    Divergence, Mode, Summary, format,
    table::{View, metrics},
};
use crate::{
    metrics::{Check, Contains, Group, Kind, Metric, ScenarioPart},
    threshold::OfMetric,
};

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";
const RESET: &str = "\u{1b}[0m";

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
    text += &checks(summary, &all, "    ", &mark);
    text += &metrics(View { summary, part: None }, mode, "    ");
    if mode == Mode::Full {
        text += &parts(summary, &mark);
    }
    if let Some(divergence) = summary.divergence() {
        text += &warnings(divergence, colors);
    }
    text + "\n\n\n"
}

/// The scenarios by themselves, and the groups in them. As k6 has it: the one scenario of a script
/// without any is not spoken of, only its groups.
fn parts(summary: &Summary<'_>, mark: &impl Fn(bool) -> String) -> String {
    let mut scenarios: Vec<&ScenarioPart> = summary.totals.parts().iter().collect();
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    let asked = &summary.options.scenarios;
    let is_default = asked.len() == 1 && asked.iter().all(|one| one.name == "default");
    let mut text = String::new();
    for scenario in scenarios {
        let is_named = !scenario.name.is_empty() && !is_default;
        if is_named {
            text += &format!("\n\n  \u{2588} SCENARIO: {} \n", scenario.name);
            let all: Vec<&Check> = scenario.groups.iter().flat_map(|one| &one.checks).collect();
            text += &checks(summary, &all, "    ", mark);
            let view = View { summary, part: Some((scenario, None)) };
            text += &metrics(view, Mode::Full, "    ");
        }
        let mut groups: Vec<&Group> =
            scenario.groups.iter().filter(|group| !group.path.is_empty()).collect();
        order(&mut groups);
        for group in groups {
            let depth = group.path.matches("::").count() + usize::from(is_named);
            let name = group.path.rsplit("::").next().unwrap_or_default();
            let indent = "  ".repeat(depth + 1);
            text += &match depth {
                1 => format!("\n\n  \u{2588} GROUP: {name} \n"),
                _ => format!("\n{}\u{21b3} GROUP: {name} \n", &indent[2..]),
            };
            let all: Vec<&Check> = group.checks.iter().collect();
            text += &checks(summary, &all, &indent, mark);
            let view = View { summary, part: Some((scenario, Some(&group.path))) };
            text += &metrics(view, Mode::Full, &indent);
        }
    }
    text
}

/// Inner groups behind their outer ones, all else in the order in which they were entered.
fn order(groups: &mut Vec<&Group>) {
    let mut ordered: Vec<&Group> = Vec::with_capacity(groups.len());
    for group in groups.drain(..) {
        let outer = group.path.rsplit_once("::").map_or("", |(outer, _)| outer);
        let inside = |other: &&Group| {
            let rest = other.path.strip_prefix(outer);
            !outer.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let at = ordered.iter().rposition(inside).map_or(ordered.len(), |at| at + 1);
        ordered.insert(at, group);
    }
    *groups = ordered;
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
    mark: &impl Fn(bool) -> String,
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
