use std::sync::Arc;

use super::*;
use crate::{
    metrics::{Contains, Recorder, Streaming, TagSet},
    options::Flags,
};

/// A run of six iterations with two checks and a group each, and a metric of each kind.
struct Run {
    totals: Totals,
    thresholds: Thresholds,
    options: Options,
}

fn run(script: &Value, latency_ms: f64) -> Run {
    let options = Options::from_layers(&[script], [], &Flags::default()).unwrap();
    let mut registry = Registry::new();
    let mut define = |name: &str, kind| registry.define(name, kind, Contains::Default).unwrap();
    let counter = define("my_counter", Kind::Counter);
    let gauge = define("my_gauge", Kind::Gauge);
    let rate = define("my_rate", Kind::Rate);
    let trend = define("my_trend", Kind::Trend);
    let time = registry.define("my_time", Kind::Trend, Contains::Time).unwrap();
    let mut thresholds = Thresholds::new(&options.thresholds, &mut registry).unwrap();
    let registry = Arc::new(registry);
    let mut recorder = Recorder::new(Arc::clone(&registry), Streaming::Off);
    let none = TagSet::default();
    let at = Duration::from_secs(1);
    for _ in 0..6 {
        for status in ["200", "404"] {
            let ok = status == "200";
            let expected = if ok { "true" } else { "false" };
            let tags = TagSet::new([("status", status), ("expected_response", expected)]);
            let values = [
                (builtin::HTTP_REQS, 1.0),
                (builtin::HTTP_REQ_DURATION, 2.5),
                (builtin::HTTP_REQ_BLOCKED, 0.0),
                (builtin::HTTP_REQ_FAILED, f64::from(u8::from(!ok))),
                (builtin::HTTP_REQ_LATENCY, latency_ms),
            ];
            recorder.record_all(&values, &tags, at);
        }
        for (path, name, passed) in
            [("", "is 200", true), ("", "is never", false), ("::outer::inner", "in inner", true)]
        {
            recorder.check(path, name, passed);
            recorder.record(builtin::CHECKS, f64::from(u8::from(passed)), &none, at);
        }
        let values = [
            (counter, 2.0),
            (gauge, 3.0),
            (rate, 1.0),
            (rate, 0.0),
            (trend, 5.0),
            (trend, 7.25),
            (time, 1234.5),
            (builtin::ITERATIONS, 1.0),
            (builtin::ITERATION_DURATION, 80.0),
            (builtin::DATA_SENT, 147.0),
            (builtin::DATA_RECEIVED, 239.0),
        ];
        recorder.record_all(&values, &none, at);
    }
    let mut totals = Totals::new(registry);
    totals.merge(&recorder.take());
    thresholds.evaluate(&totals, Duration::from_millis(240));
    Run { totals, thresholds, options }
}

impl Run {
    fn summary(&self) -> Summary<'_> {
        let Self { totals, thresholds, options } = self;
        let elapsed = Duration::from_millis(240);
        let (stdout_is_terminal, stderr_is_terminal) = (false, true);
        Summary { totals, thresholds, options, elapsed, stdout_is_terminal, stderr_is_terminal }
    }
}

fn script() -> Value {
    json!({ "thresholds": {
        "http_req_duration": ["p(95)<500", "avg<0.00001"],
        "http_reqs{status:200}": ["count>2"],
        "checks": ["rate>0.9"],
        "my_trend": ["med>=1"],
    } })
}

/// The same run under k6 1.1 writes these lines, but for the times of its requests.
#[test]
fn the_text_is_that_of_k6() {
    let run = run(&script(), 2.5);
    let text = run.summary().text(Mode::Compact, false);
    let text = text.split("\n    LATENCY").next().unwrap();
    let expected = "

  █ THRESHOLDS 

    checks
    ✗ 'rate>0.9' rate=66.66%

    http_req_duration
    ✓ 'p(95)<500' p(95)=2.5ms
    ✗ 'avg<0.00001' avg=2.5ms

    http_reqs{status:200}
    ✓ 'count>2' count=6

    my_trend
    ✓ 'med>=1' med=6.125


  █ TOTAL RESULTS 

    checks_total.......................: 18     75/s
    checks_succeeded...................: 66.66% 12 out of 18
    checks_failed......................: 33.33% 6 out of 18

    ✓ is 200
    ✗ is never
      ↳  0% — ✓ 0 / ✗ 6
    ✓ in inner

    CUSTOM
    my_counter..............................................................: 12     50/s
    my_gauge................................................................: 3      min=3       max=3
    my_rate.................................................................: 50.00% 6 out of 12
    my_time.................................................................: avg=1.23s min=1.23s med=1.23s max=1.23s p(90)=1.23s p(95)=1.23s
    my_trend................................................................: avg=6.125 min=5     med=6.125 max=7.25  p(90)=7.25  p(95)=7.25 

    HTTP
    http_req_duration.......................................................: avg=2.5ms min=2.5ms med=2.5ms max=2.5ms p(90)=2.5ms p(95)=2.5ms
      { expected_response:true }@: avg=2.5ms min=2.5ms med=2.5ms max=2.5ms p(90)=2.5ms p(95)=2.5ms
    http_req_failed.........................................................: 50.00% 6 out of 12
    http_reqs...............................................................: 12     50/s
      { status:200 }........................................................: 6      25/s
";
    let expected = expected.replace('@', &".".repeat(44));
    for (line, wanted) in text.lines().zip(expected.lines()) {
        assert_eq!(line, wanted);
    }
    assert_eq!(text.lines().count(), expected.lines().count());
    let all = run.summary().text(Mode::Compact, false);
    assert!(all.contains("    NETWORK\n    data_received...."), "{all}");
    assert!(all.contains(": 1.4 kB 6.0 kB/s\n") && all.contains(": 882 B  3.7 kB/s\n"), "{all}");
    assert!(!all.contains("http_req_blocked"), "compact");
    assert!(run.summary().text(Mode::Full, true).contains("http_req_blocked..."));
}

#[test]
fn times_seen_from_the_schedule_are_shown_and_their_divergence_is_told() {
    let even = run(&json!({}), 2.6);
    let text = even.summary().text(Mode::Compact, false);
    assert!(
        text.contains("    LATENCY FROM THE SCHEDULED START\n    http_req_latency..."),
        "{text}"
    );
    assert!(!text.contains("! "), "{text}");
    let stalled = run(&json!({}), 1000.0);
    let text = stalled.summary().text(Mode::Compact, false);
    assert!(text.contains("p(99) is 2.5ms from their own start, but 1s from when"), "{text}");
    assert!(stalled.summary().divergence().unwrap().is_large());
}

#[test]
fn numbers_are_written_as_k6_writes_them() {
    let unit = |unit| move |v: f64| format::value(v, Contains::Time, unit);
    for (ms, time, in_ms) in [
        (0.0, "0s", "0.00ms"),
        (0.0005, "500ns", "0.00ms"),
        (0.01234, "12.34µs", "0.01ms"),
        (0.0999, "99.9µs", "0.10ms"),
        (0.999_999, "999.99µs", "1.00ms"),
        (1.0, "1ms", "1.00ms"),
        (9.9999, "9.99ms", "10.00ms"),
        (999.996, "999.99ms", "1000.00ms"),
        (1234.5, "1.23s", "1234.50ms"),
        (59_999.9, "59.99s", "59999.90ms"),
        (60_000.0, "1m0s", "60000.00ms"),
        (3_723_456.7, "1h2m3s", "3723456.70ms"),
        (90_061_001.5, "25h1m1s", "90061001.50ms"),
    ] {
        assert_eq!(unit(None)(ms), time);
        assert_eq!(unit(Some(TimeUnit::Milliseconds))(ms), in_ms);
    }
    let of = |contains| move |value: f64| format::value(value, contains, None);
    assert_eq!(
        [0.0, 0.0005, 90_061_001.5, 174_411.400_367].map(of(Contains::Default)),
        ["0", "0.0005", "90061001.5", "174411.400367"]
    );
    assert_eq!(
        [0.0, 882.0, 1434.0, 51_000.0, 2.5e9].map(of(Contains::Data)),
        ["0 B", "882 B", "1.4 kB", "51 kB", "2.5 GB"]
    );
    assert_eq!(
        [0.0, 0.99999, 2.0 / 3.0, 1.0].map(format::percent),
        ["0.00%", "99.99%", "66.66%", "100.00%"]
    );
}

#[test]
fn handle_summary_is_given_what_k6_gives() {
    let data = run(&script(), 2.5).summary().data(None);
    let metrics = &data["metrics"];
    assert_eq!(
        metrics["http_reqs{status:200}"],
        json!({ "type": "counter", "contains": "default",
                "values": { "count": 6, "rate": 25 }, "thresholds": { "count>2": { "ok": true } } })
    );
    assert_eq!(metrics["checks"]["thresholds"], json!({ "rate>0.9": { "ok": false } }));
    assert_eq!(metrics["my_rate"]["values"], json!({ "rate": 0.5, "passes": 6, "fails": 6 }));
    assert_eq!(metrics["my_gauge"]["values"], json!({ "value": 3, "min": 3, "max": 3 }));
    assert_eq!(metrics["my_time"]["contains"], "time");
    assert_eq!(metrics["data_sent"]["contains"], "data");
    assert!(metrics["vus"].is_null(), "never seen");
    let keys: Vec<&String> = metrics["my_trend"]["values"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["avg", "min", "med", "max", "p(90)", "p(95)"]);
    assert_eq!(data["state"]["testRunDurationMs"], 240.0);
    assert_eq!(data["options"]["summaryTimeUnit"], "");
    let root = &data["root_group"];
    assert_eq!(root["id"], "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(
        root["checks"][1],
        json!({ "name": "is never", "path": "::is never", "passes": 0, "fails": 6,
                "id": "f703dc5da3a67034b64a2d368cc12059" })
    );
    let inner = &root["groups"][0]["groups"][0];
    assert_eq!(inner["id"], "b6c425bc7b9e3d21a2d56ce7a6de3614");
    assert_eq!(inner["checks"][0]["path"], "::outer::inner::in inner");
}

#[test]
fn the_export_says_of_thresholds_whether_they_were_crossed() {
    let export = run(&script(), 2.5).summary().export();
    let metrics = &export["metrics"];
    assert_eq!(
        metrics["checks"],
        json!({ "value": 2.0 / 3.0, "passes": 12, "fails": 6, "thresholds": { "rate>0.9": true } })
    );
    assert_eq!(metrics["http_reqs{status:200}"]["thresholds"]["count>2"], false);
    assert_eq!(export["root_group"]["checks"]["is 200"]["passes"], 6);
    assert_eq!(
        export["root_group"]["groups"]["outer"]["groups"]["inner"]["checks"]["in inner"]["id"],
        "cffbd1a25533dbbf91ba948ebd0b5f37"
    );
    let text = export["weir"]["histograms"]["my_trend"].as_str().unwrap();
    let trend = Trend::decode(text).unwrap();
    assert_eq!(trend.count(), 12);
    assert!((trend.percentile(90.0) / 7.25 - 1.0).abs() < 1e-3);
    assert!((trend.avg() / 6.125 - 1.0).abs() < 1e-3);
    assert!(Trend::decode("x").is_none() && Trend::decode("AAAA").is_none());
    assert!(Trend::decode(&Trend::new().encode()).unwrap().is_empty());
}
