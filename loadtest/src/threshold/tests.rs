use std::{sync::Arc, time::Duration};

use super::*;
use crate::metrics::{Contains, Recorder, Streaming, TagSet, builtin};

const SECOND: Duration = Duration::from_secs(1);

fn option(expression: &str) -> ThresholdOption {
    let (abort_on_fail, delay_abort_eval) = (false, Duration::ZERO);
    ThresholdOption { expression: expression.to_owned(), abort_on_fail, delay_abort_eval }
}

fn one(metric: &str, expression: &str) -> Vec<(String, Vec<ThresholdOption>)> {
    vec![(metric.to_owned(), vec![option(expression)])]
}

/// Ten requests of 1 to 10 ms, half of them to `/a`, half of them failed, and five checks.
fn totals(registry: Registry) -> Totals {
    let registry = Arc::new(registry);
    let mut recorder = Recorder::new(Arc::clone(&registry), Streaming::Off);
    for i in 1..=10u8 {
        let tags = TagSet::new([("name", if i % 2 == 0 { "/a" } else { "http://b:1/" })]);
        let odd = f64::from(i % 2);
        let values = [
            (builtin::HTTP_REQS, 1.0),
            (builtin::HTTP_REQ_DURATION, f64::from(i)),
            (builtin::HTTP_REQ_FAILED, odd),
            (builtin::VUS, f64::from(i)),
        ];
        recorder.record_all(&values, &tags, SECOND);
    }
    let mut totals = Totals::new(registry);
    totals.merge(&recorder.take());
    totals
}

fn crossed(metric: &str, expression: &str) -> bool {
    let mut registry = Registry::new();
    let mut thresholds = Thresholds::new(&one(metric, expression), &mut registry).unwrap();
    let verdict = thresholds.evaluate(&totals(registry), 2 * SECOND);
    assert_eq!(verdict.crossed.len(), usize::from(thresholds.0[0].thresholds[0].crossed));
    !verdict.crossed.is_empty()
}

#[test]
fn expressions_hold_or_do_not() {
    for (metric, expression, holds) in [
        ("http_reqs", "count==10", true),
        ("http_reqs", "count===10", true),
        ("http_reqs", "count!=10", false),
        ("http_reqs", "rate>=5", true),
        ("http_reqs", "rate>5", false),
        ("http_reqs", "  count  <=   10.5 ", true),
        ("http_reqs", "count>-1", true),
        ("vus", "value<10", false),
        ("http_req_failed", "rate<0.5", false),
        ("http_req_failed", "rate<=0.5", true),
        ("http_req_duration", "avg<5.6", true),
        ("http_req_duration", "max<1e1", false),
        ("http_req_duration", "min>=1", true),
        ("http_req_duration", "med < 5.6", true),
        ("http_req_duration", "p(90)<9.2", true),
        ("http_req_duration", "p(90)<9", false),
        ("http_req_duration", "p(99.9) < +200.", true),
        ("http_req_duration", "p(101)<1", false),
        // Of nothing: 0, but a share of nothing is none.
        ("iterations", "count>5", false),
        ("iteration_duration", "p(95)>5", false),
        ("checks", "rate>0.5", true),
        // Only what has the tags.
        ("http_reqs{name:/a}", "count==5", true),
        ("http_reqs{name:\"http://b:1/\"}", "count==5", true),
        ("http_reqs{ name : '/a' }", "count==5", true),
        ("http_req_duration{name:/a}", "min>1.9", true),
        ("http_req_failed{name:/a}", "rate==0", true),
        ("http_reqs{name:/c}", "count==0", true),
    ] {
        assert_eq!(crossed(metric, expression), !holds, "{metric}: {expression}");
    }
}

/// k6 1.1 refuses each of these with exit code 104.
#[test]
fn nonsense_is_refused() {
    let mut registry = Registry::new();
    registry.define("mine", Kind::Gauge, Contains::Default).unwrap();
    for (metric, expression, reason) in [
        ("http_reqs", "count>>0", "'>0' is no number"),
        ("http_reqs", "count>x", "'x' is no number"),
        ("http_reqs", "count", "no comparison"),
        ("http_reqs", "count!0", "no comparison"),
        ("http_reqs", "p95<1", "'p95' is none of"),
        ("http_reqs", "p(x)<1", "'p(x)' is none of"),
        ("http_reqs", "p(95)>0", "unsupported aggregation method p(95) on metric of type counter"),
        ("mine", "avg>0", "of type gauge, which has value"),
        ("checks", "count>0", "of type rate, which has rate"),
        ("http_req_duration", "rate>0", "of type trend"),
        ("nope", "count>0", "no metric name \"nope\" found"),
        ("nope{a:b}", "count>0", "no metric name \"nope\" found"),
        ("http_reqs{a", "count>0", "unmatched"),
        ("http_reqs}", "count>0", "unmatched"),
        ("http_reqs{a}", "count>0", "malformed"),
        ("http_reqs{}", "count>0", "malformed"),
        ("http_reqs{a:b,}", "count>0", "malformed"),
    ] {
        let error = Thresholds::new(&one(metric, expression), &mut registry).unwrap_err();
        assert!(error.to_string().contains(reason), "{metric} {expression}: {error}");
    }
}

#[test]
fn a_crossed_threshold_may_end_the_test_but_not_before_its_delay() {
    let aborting = ThresholdOption {
        abort_on_fail: true,
        delay_abort_eval: 10 * SECOND,
        ..option("rate<0.1")
    };
    let options = [
        ("http_reqs".to_owned(), vec![option("count<1"), option("count>1")]),
        ("http_req_failed".to_owned(), vec![aborting]),
    ];
    let mut registry = Registry::new();
    let mut thresholds = Thresholds::new(&options, &mut registry).unwrap();
    let totals = totals(registry);
    let crossed = vec!["http_req_failed".to_owned(), "http_reqs".to_owned()];
    let early = thresholds.evaluate(&totals, 9 * SECOND);
    assert_eq!(early, Verdict { crossed: crossed.clone(), abort: false });
    assert_eq!(thresholds.evaluate(&totals, 10 * SECOND), Verdict { crossed, abort: true });
    let states: Vec<bool> =
        thresholds.of(builtin::HTTP_REQS).iter().map(|threshold| threshold.crossed).collect();
    assert_eq!(states, [true, false]);
}
