//! What is shown while the test runs: redrawn in place on a terminal, plain lines otherwise.

use std::time::Duration;

use crate::{
    executor::Plan,
    metrics::{MetricId, Sink, Totals, builtin},
    options::{Executor, Scenario, format_duration},
    threshold::Thresholds,
};

/// A moment of a test.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Since the begin of the test.
    pub elapsed: Duration,
    /// What was counted so far.
    pub totals: &'a Totals,
    /// As they were last evaluated.
    pub thresholds: &'a Thresholds,
    /// The scenarios and their schedules.
    pub scenarios: &'a [(&'a Scenario, &'a Plan)],
    /// VUs that run an iteration.
    pub vus: u32,
    /// VUs that were made.
    pub vus_max: u32,
    /// Iterations that were cut off.
    pub interrupted: u64,
}

/// Remembers the moment before, since rates are over the time between the two.
#[derive(Debug, Default)]
pub struct Progress {
    before: Option<(Duration, f64)>,
}

/// Scenarios, and thresholds, that are shown at most: the terminal has other things to show.
const BARS_MOST: usize = 12;
/// Letters of a bar.
const BAR: usize = 20;

impl Progress {
    /// The lines for a terminal, where they take the place of those before.
    pub fn lines(&mut self, view: &View<'_>) -> Vec<String> {
        let mut lines = vec![running(view), self.state(view)];
        lines.extend(judged(view));
        let bars = view.scenarios.iter().map(|(scenario, plan)| bar(scenario, plan, view.elapsed));
        lines.extend(bars.take(BARS_MOST));
        lines
    }

    /// One line, for a file or a pipe.
    pub fn line(&mut self, view: &View<'_>) -> String {
        format!("{}; {}", running(view), self.state(view).trim())
    }

    fn state(&mut self, view: &View<'_>) -> String {
        let requests = count(view.totals, builtin::HTTP_REQS);
        let (at, before) = self.before.replace((view.elapsed, requests)).unwrap_or_default();
        let seconds = view.elapsed.saturating_sub(at).as_secs_f64();
        let rate = if seconds > 0.0 { (requests - before) / seconds } else { 0.0 };
        let mut state = format!("  {rate:.0} requests/s");
        let latency = match view.totals.sink(builtin::HTTP_REQ_LATENCY) {
            Some(sink) => Some(sink),
            None => view.totals.sink(builtin::HTTP_REQ_DURATION),
        };
        if let Some(Sink::Trend(trend)) = latency {
            let (p50, p99) = (trend.percentile(50.0), trend.percentile(99.0));
            state += &format!(", p50 {p50:.2} ms, p99 {p99:.2} ms");
        }
        if let Some(Sink::Rate(failed)) = view.totals.sink(builtin::HTTP_REQ_FAILED) {
            state += &format!(", {:.2}% failed", failed.rate() * 100.0);
        }
        let dropped = count(view.totals, builtin::DROPPED_ITERATIONS);
        if dropped > 0.0 {
            state += &format!(", {dropped} iterations dropped");
        }
        let all = || view.thresholds.iter().flat_map(|of_metric| &of_metric.thresholds);
        if !view.thresholds.is_empty() {
            let crossed = all().filter(|threshold| threshold.crossed).count();
            state += &format!(", {crossed} of {} thresholds crossed", all().count());
        }
        state
    }
}

fn count(totals: &Totals, id: MetricId) -> f64 {
    match totals.sink(id) {
        Some(Sink::Counter(counter)) => counter.sum,
        _ => 0.0,
    }
}

/// k6's line, which scripts look for.
fn running(view: &View<'_>) -> String {
    let iterations = count(view.totals, builtin::ITERATIONS);
    let tenths = view.elapsed.as_millis() / 100;
    let (minutes, seconds) = (tenths / 600, tenths % 600);
    let minutes = if minutes > 0 { format!("{minutes}m") } else { String::new() };
    let time = format!("{minutes}{:02}.{}s", seconds / 10, seconds % 10);
    let View { vus, vus_max, interrupted, .. } = view;
    format!(
        "running ({time}), {vus}/{vus_max} VUs, {iterations} complete and {interrupted} \
         interrupted iterations"
    )
}

/// Thresholds, those that are crossed first; none where there are none.
fn judged(view: &View<'_>) -> Option<String> {
    let all = view.thresholds.iter().flat_map(|of_metric| {
        of_metric.thresholds.iter().map(move |threshold| (&of_metric.name, threshold))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, threshold)| !threshold.crossed);
    let shown = all.iter().take(BARS_MOST).map(|(name, threshold)| {
        let mark = if threshold.crossed { '\u{2717}' } else { '\u{2713}' };
        format!("{mark} {name} {}", threshold.source)
    });
    (!all.is_empty()).then(|| format!("  {}", shown.collect::<Vec<_>>().join("  ")))
}

/// Which stage of a ramp it is in, of how many.
fn stage(scenario: &Scenario, since: Duration) -> Option<(usize, usize)> {
    let (Executor::RampingVus { stages, .. } | Executor::RampingArrivalRate { stages, .. }) =
        &scenario.executor
    else {
        return None;
    };
    let ends = stages.iter().scan(Duration::ZERO, |end, stage| {
        *end += stage.duration;
        Some(*end)
    });
    let over = ends.filter(|end| *end <= since).count();
    (stages.len() > 1).then(|| ((over + 1).min(stages.len()), stages.len()))
}

/// How far a scenario is.
fn bar(scenario: &Scenario, plan: &Plan, elapsed: Duration) -> String {
    let (begin, end, what) = match plan {
        Plan::Vus(vus) => (vus.begin(), vus.end(), format!("{} VUs", vus.vus(elapsed))),
        Plan::Arrivals(arrivals) => {
            (arrivals.begin(), arrivals.end(), format!("{:.2} iters/s", arrivals.rate(elapsed)))
        }
    };
    let since = elapsed.saturating_sub(begin);
    let length = end.saturating_sub(begin);
    let counted = match plan {
        Plan::Vus(vus) => vus.iterations().map(|all| (vus.begun(), all)),
        Plan::Arrivals(_) => None,
    };
    let (share, of) = match counted {
        Some((begun, all)) => (begun as f64 / all.max(1) as f64, format!("{begun}/{all} iters")),
        None => {
            let since = Duration::from_secs(since.min(length).as_secs());
            let of = format!("{}/{}", format_duration(since), format_duration(length));
            let share =
                elapsed.saturating_sub(begin).as_secs_f64() / length.as_secs_f64().max(1e-9);
            (share, of)
        }
    };
    let share = share.clamp(0.0, 1.0);
    let full = (share * BAR as f64) as usize;
    let bar = format!("{}{}", "=".repeat(full), "-".repeat(BAR - full));
    let stage = stage(scenario, since).map(|(at, all)| format!("  stage {at}/{all}"));
    let stage = stage.unwrap_or_default();
    format!("{} [{bar}] {:3.0}%  {what}  {of}{stage}", scenario.name, share * 100.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        metrics::{Recorder, Registry, Streaming, TagSet},
        options::{Flags, Options},
    };

    #[test]
    fn rates_are_over_the_time_since_the_last_look() {
        let script = json!({
            "scenarios": {
                "a": { "executor": "constant-vus", "vus": 3, "duration": "10s" },
                "b": { "executor": "shared-iterations", "iterations": 4 },
                "c": { "executor": "constant-arrival-rate", "rate": 5, "duration": "10s",
                       "preAllocatedVUs": 1, "startTime": "1s" },
                "d": { "executor": "ramping-vus", "stages": [{ "duration": "2s", "target": 2 },
                       { "duration": "18s", "target": 2 }] },
            },
            "thresholds": { "http_reqs": ["count>1000", "count>1"] },
        });
        let options = Options::from_layers(&[&script], [], &Flags::default()).unwrap();
        let mut registry = Registry::new();
        let mut thresholds = Thresholds::new(&options.thresholds, &mut registry).unwrap();
        let registry = Arc::new(registry);
        let mut recorder = Recorder::new(Arc::clone(&registry), Streaming::Off);
        let mut totals = Totals::new(registry);
        let plans: Vec<Plan> = options.scenarios.iter().map(Plan::new).collect();
        let scenarios: Vec<(&Scenario, &Plan)> = options.scenarios.iter().zip(&plans).collect();
        let mut progress = Progress::default();
        let mut look = |seconds, redraw| {
            for _ in 0..100 {
                let values = [
                    (builtin::HTTP_REQS, 1.0),
                    (builtin::HTTP_REQ_DURATION, 2.0),
                    (builtin::HTTP_REQ_FAILED, 0.0),
                ];
                recorder.record_all(&values, &TagSet::default(), Duration::ZERO);
            }
            totals.merge(&recorder.take());
            let elapsed = Duration::from_secs(seconds);
            thresholds.evaluate(&totals, elapsed);
            let (totals, thresholds, scenarios) = (&totals, &thresholds, &*scenarios);
            let (vus, vus_max, interrupted) = (3, 5, 0);
            let view = View { elapsed, totals, thresholds, scenarios, vus, vus_max, interrupted };
            if redraw { progress.lines(&view).join("\n") } else { progress.line(&view) }
        };
        assert_eq!(
            look(2, false),
            "running (02.0s), 3/5 VUs, 0 complete and 0 interrupted iterations; 50 requests/s, \
             p50 2.00 ms, p99 2.00 ms, 0.00% failed, 1 of 2 thresholds crossed"
        );
        let drawn = look(3, true);
        assert!(drawn.contains("  100 requests/s"), "{drawn}");
        assert!(drawn.contains("\n  \u{2717} http_reqs count>1000  \u{2713} http_reqs count>1\n"));
        assert!(drawn.contains("a [======--------------]  30%  3 VUs  3s/10s\n"), "{drawn}");
        assert!(drawn.contains("b [--------------------]   0%  1 VUs  0/4 iters\n"), "{drawn}");
        assert!(drawn.contains("c [====----------------]  20%  5.00 iters/s  2s/10s\n"), "{drawn}");
        assert!(
            drawn.ends_with("d [===-----------------]  15%  2 VUs  3s/20s  stage 2/2"),
            "{drawn}"
        );
        assert!(look(83, true).starts_with("running (1m23.0s), "));
    }
}
