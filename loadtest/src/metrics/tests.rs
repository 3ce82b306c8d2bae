use std::{sync::Arc, time::Duration};

use super::*;

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn run(registry: Registry, streaming: Streaming) -> (Recorder, Totals) {
    let registry = Arc::new(registry);
    (Recorder::new(Arc::clone(&registry), streaming), Totals::new(registry))
}

#[test]
fn the_constants_are_the_ids_of_their_names() {
    let registry = Registry::new();
    for (i, (name, kind, _)) in builtin::TABLE.iter().enumerate() {
        let id = registry.id(name).unwrap();
        assert_eq!((id.index(), registry.metric(id).kind), (i, *kind), "{name}");
    }
    assert_eq!(registry.id("http_req_failed"), Some(builtin::HTTP_REQ_FAILED));
    assert_eq!(registry.id("schedule_lag"), Some(builtin::SCHEDULE_LAG));
}

#[test]
fn names_follow_the_rule_of_k6() {
    let mut registry = Registry::new();
    let mut define = |name: &str| registry.define(name, Kind::Trend, Contains::Default);
    let id = define("my_trend").unwrap();
    assert_eq!(define("my_trend"), Ok(id), "twice the same is one");
    assert!(define(&"a".repeat(129)).is_ok() && define("_0").is_ok());
    for name in ["a", "", "0a", "a-b", "a b", "\u{e4}a", &"a".repeat(130)] {
        assert!(matches!(define(name), Err(MetricError::Name(_))), "{name}");
    }
    let kind = registry.define("my_trend", Kind::Rate, Contains::Default).unwrap_err();
    assert!(kind.to_string().contains("already exists but with type trend"), "{kind}");
    let contains = registry.define("my_trend", Kind::Trend, Contains::Time).unwrap_err();
    assert!(contains.to_string().contains("value type default, instead of time"), "{contains}");
}

#[test]
fn each_kind_keeps_what_it_is_for() {
    let (mut recorder, mut totals) = run(Registry::new(), Streaming::Off);
    let none = TagSet::default();
    for (i, value) in [3.0, 1.0, 2.0].into_iter().enumerate() {
        recorder.record(builtin::VUS, value, &none, NOW + Duration::from_secs(i as u64));
        recorder.record(builtin::HTTP_REQS, value, &none, NOW);
        recorder.record(builtin::CHECKS, f64::from(u8::from(value > 1.0)), &none, NOW);
        totals.merge(&recorder.take());
    }
    let Some(Sink::Gauge(vus)) = totals.sink(builtin::VUS) else { panic!() };
    assert_eq!((vus.value, vus.min, vus.max), (2.0, 1.0, 3.0));
    let Some(Sink::Counter(reqs)) = totals.sink(builtin::HTTP_REQS) else { panic!() };
    assert_eq!(reqs.sum, 6.0);
    let Some(Sink::Rate(checks)) = totals.sink(builtin::CHECKS) else { panic!() };
    assert_eq!((checks.passes, checks.total), (2, 3));
    assert!(totals.sink(builtin::WS_PING).is_none(), "nothing seen, nothing kept");
    assert!(recorder.take().sinks.is_empty());
}

#[test]
fn percentiles_are_interpolated() {
    let mut trend = Trend::new();
    (1..=10).for_each(|n| trend.add(f64::from(n)));
    // i = p * (n - 1): what k6 says of 1 to 10.
    for (percent, value) in [(0.0, 1.0), (50.0, 5.5), (90.0, 9.1), (95.0, 9.55), (100.0, 10.0)] {
        let seen = trend.percentile(percent);
        assert!((seen - value).abs() < 1e-9, "p({percent}) is {seen}, not {value}");
    }
    assert_eq!((trend.count(), trend.sum(), trend.avg()), (10, 55.0, 5.5));
    assert_eq!((trend.min(), trend.max()), (1.0, 10.0));
    assert_eq!(Trend::new().percentile(50.0), 0.0);
}

#[test]
fn a_trend_has_three_digits_at_any_size() {
    for scale in [1e-2, 0.06, 1.0, 33.3, 1e4, 1e9] {
        let mut trend = Trend::new();
        let values: Vec<f64> =
            (0..2000).map(|i| scale * (1.0 + f64::from(i * 7919 % 2000))).collect();
        values.iter().for_each(|value| trend.add(*value));
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        for percent in [1.0f64, 25.0, 50.0, 90.0, 99.0, 99.9] {
            let rank = percent / 100.0 * 1999.0;
            let (below, above) = (sorted[rank as usize], sorted[(rank as usize + 1).min(1999)]);
            let exact = below + (above - below) * rank.fract();
            let seen = trend.percentile(percent);
            assert!((seen / exact - 1.0).abs() < 1e-3, "{scale} p({percent}): {seen}, not {exact}");
        }
    }
}

#[test]
fn odd_values_do_no_harm() {
    let mut trend = Trend::new();
    for value in [-5.0, 0.0, 1e300, f64::NAN, f64::INFINITY] {
        trend.add(value);
    }
    assert_eq!((trend.count(), trend.min(), trend.max()), (4, -5.0, f64::INFINITY));
    assert!(trend.percentile(50.0) >= 0.0);
}

#[test]
fn parts_count_the_samples_that_have_their_tags() {
    let mut registry = Registry::new();
    let tags = [("status", "200"), ("method", "GET")];
    let part = registry.define_part("http_reqs{..}", builtin::HTTP_REQS, &tags).unwrap();
    let missing = registry.define_part("http_reqs{x:}", builtin::HTTP_REQS, &[("x", "")]).unwrap();
    let (mut recorder, mut totals) = run(registry, Streaming::Off);
    for status in ["200", "200", "404"] {
        let tags = TagSet::new([("status", status), ("method", "GET"), ("x", "")]);
        recorder.record(builtin::HTTP_REQS, 1.0, &tags, NOW);
    }
    let expected = TagSet::new([("expected_response", "true")]);
    recorder.record(builtin::HTTP_REQ_DURATION, 7.0, &expected, NOW);
    totals.merge(&recorder.take());
    let count = |id| match totals.sink(id) {
        Some(Sink::Counter(counter)) => counter.sum,
        _ => 0.0,
    };
    assert_eq!((count(builtin::HTTP_REQS), count(part), count(missing)), (3.0, 2.0, 3.0));
    let expected = totals.registry().id("http_req_duration{expected_response:true}").unwrap();
    assert!(matches!(totals.sink(expected), Some(Sink::Trend(trend)) if trend.count() == 1));
}

#[test]
fn tags_are_sets() {
    let tags = TagSet::new([("b", "1"), ("a", "1"), ("b", "2")]);
    assert_eq!(tags.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    let more = tags.with(&[("c", "3"), ("a", "0")]);
    assert_eq!((more.value("a"), more.value("c"), more.value("d")), (Some("0"), Some("3"), None));
    assert_eq!(more.without("c").without("b"), TagSet::new([("a", "0")]));
    assert!(tags.without("a").without("b").is_empty());
}

#[test]
fn samples_are_kept_only_when_an_output_wants_them() {
    let tags = TagSet::new([("a", "1")]);
    let (mut off, _) = run(Registry::new(), Streaming::Off);
    off.record(builtin::HTTP_REQS, 1.0, &tags, NOW);
    assert!(off.take().samples.is_empty());
    let (mut on, _) = run(Registry::new(), Streaming::On);
    for _ in 0..Recorder::SAMPLES_MOST + 5 {
        on.record(builtin::HTTP_REQS, 1.0, &tags, NOW);
    }
    let delta = on.take();
    assert_eq!((delta.samples.len(), delta.samples_lost), (Recorder::SAMPLES_MOST, 5));
    assert!(on.take().samples.is_empty());
}

#[test]
fn checks_are_counted_by_group() {
    let (mut recorder, mut totals) = run(Registry::new(), Streaming::Off);
    recorder.check("", "is ok", true);
    recorder.check("::a::b", "is ok", false);
    recorder.enter_group("::empty");
    totals.merge(&recorder.take());
    recorder.check("", "is ok", true);
    totals.merge(&recorder.take());
    let groups: Vec<&Group> = totals.groups().iter().collect();
    let paths: Vec<&str> = groups.iter().map(|group| &*group.path).collect();
    assert_eq!(paths, ["", "::a::b", "::empty"]);
    assert_eq!((groups[0].checks[0].passes, groups[1].checks[0].fails), (2, 1));
    // A script that puts numbers into names is not given memory without end.
    (0..Groups::MOST + 100).for_each(|i| recorder.check("", &format!("check {i}"), true));
    totals.merge(&recorder.take());
    let checks = &totals.groups().iter().next().unwrap().checks;
    assert_eq!(checks.len(), Groups::MOST, "less the one in ::a::b, and one for all others");
    assert_eq!(checks.iter().map(|check| check.passes).sum::<u64>(), 2 + Groups::MOST as u64 + 100);
}

#[test]
fn ten_million_samples_take_no_more_memory_than_one_million() {
    let (mut recorder, mut totals) = run(Registry::new(), Streaming::Off);
    let tags = TagSet::new([("expected_response", "true")]);
    let held = |totals: &Totals| match totals.sink(builtin::HTTP_REQ_DURATION) {
        Some(Sink::Trend(trend)) => (trend.count(), trend.held_bytes()),
        _ => (0, 0),
    };
    let mut after_one_million = 0;
    for i in 0u64..10_000_000 {
        let value = (i * 2_654_435_761 % 1_000_000) as f64 / 1000.0;
        recorder.record(builtin::HTTP_REQ_DURATION, value, &tags, NOW);
        if i % 100_000 == 99_999 {
            totals.merge(&recorder.take());
        }
        if i == 999_999 {
            after_one_million = held(&totals).1;
        }
    }
    assert_eq!(held(&totals), (10_000_000, after_one_million));
    assert!(after_one_million < 512 * 1024, "{after_one_million}");
}
