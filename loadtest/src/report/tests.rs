use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    metrics::{Recorder, Registry, Streaming, TagSet, Totals},
    options::{Flags, Options},
    threshold::Thresholds,
};

/// A minute of requests, slower and failing in its middle.
fn report() -> String {
    let script = json!({ "thresholds": {
        "http_req_duration": ["p(95)<1", "max<1e6"], "http_reqs{name:<b>}": ["count==0"] } });
    let options = Options::from_layers(&[&script], [], &Flags::default()).unwrap();
    let mut registry = Registry::new();
    let mut thresholds = Thresholds::new(&options.thresholds, &mut registry).unwrap();
    let registry = Arc::new(registry);
    let mut recorder = Recorder::new(Arc::clone(&registry), Streaming::Off);
    let (mut totals, mut timeline) = (Totals::new(registry), Timeline::new());
    for tick in 0..600u32 {
        let middle = (200..300).contains(&tick);
        for i in 0..50 {
            let ms = if middle { 200.0 } else { 1.0 } + f64::from(i * i) / 300.0;
            let values = [
                (builtin::HTTP_REQS, 1.0),
                (builtin::HTTP_REQ_DURATION, ms),
                (builtin::HTTP_REQ_LATENCY, ms * 1.5),
                (builtin::HTTP_REQ_FAILED, f64::from(u8::from(middle && i % 7 == 0))),
            ];
            recorder.record_all(&values, &TagSet::default(), Duration::ZERO);
        }
        recorder.check("", "body <b>&</b>", !middle);
        let delta = recorder.take();
        timeline.add(Duration::from_millis(u64::from(tick) * 100), &delta, tick / 20);
        totals.merge(&delta);
    }
    let elapsed = Duration::from_secs(60);
    thresholds.evaluate(&totals, elapsed);
    let summary = Summary {
        totals: &totals,
        thresholds: &thresholds,
        options: &options,
        elapsed,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
    };
    html("checkout <v2>", &summary, &timeline)
}

#[test]
fn the_report_is_one_page_with_all_its_charts() {
    let page = report();
    for id in ["thresholds", "rate", "heat", "percentiles", "errors", "checks", "metrics"] {
        assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert_eq!(page.matches("<svg ").count(), 4);
    assert_eq!(page.matches("<polyline ").count(), 6);
    assert!(page.matches("class=\"cell\"").count() > 100);
    assert!(page.contains("<title>checkout &lt;v2&gt;</title>"));
    assert!(page.contains("body &lt;b&gt;&amp;&lt;/b&gt;") && !page.contains("<b>&</b>"));
    assert!(page.contains("<td class=\"bad\">crossed</td>"));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("NaN"));
    for tag in ["section", "table", "svg", "div", "p", "tr", "td", "title"] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    if let Ok(path) = std::env::var("WEIR_REPORT") {
        std::fs::write(path, page).unwrap();
    }
}

#[test]
fn a_run_without_requests_has_a_report_too() {
    let options = Options::from_layers(&[], [], &Flags::default()).unwrap();
    let totals = Totals::new(Arc::new(Registry::new()));
    let summary = Summary {
        totals: &totals,
        thresholds: &Thresholds::default(),
        options: &options,
        elapsed: Duration::ZERO,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
    };
    let page = html("", &summary, &Timeline::new());
    assert!(!page.contains("<svg") && page.ends_with("</html>\n"));
}

#[test]
fn a_long_test_takes_no_more_memory_than_a_short_one() {
    let mut timeline = Timeline::new();
    let mut recorder = Recorder::new(Arc::new(Registry::new()), Streaming::Off);
    for minute in 0..24 * 60 {
        recorder.record(builtin::HTTP_REQS, 1.0, &TagSet::default(), Duration::ZERO);
        recorder.record(builtin::HTTP_REQ_DURATION, 5.0, &TagSet::default(), Duration::ZERO);
        timeline.add(Duration::from_secs(60 * minute), &recorder.take(), 7);
    }
    assert!((Timeline::MOST / 2..=Timeline::MOST).contains(&timeline.slots().len()));
    assert_eq!(timeline.slots().iter().map(|slot| slot.requests).sum::<f64>(), 1440.0);
    let bucket = Timeline::bucket(5.0);
    assert_eq!(timeline.slots().iter().map(|slot| slot.heat[bucket]).sum::<u64>(), 1440);
    assert!(timeline.slots().iter().all(|slot| slot.vus == 7));
}

#[test]
fn buckets_are_even_on_a_logarithmic_scale() {
    for (ms, bucket) in [(0.0, 0), (0.001, 0), (0.0101, 0), (0.101, 8), (1.01, 16), (1e9, 55)] {
        assert_eq!(Timeline::bucket(ms), bucket, "{ms}");
    }
    assert!((Timeline::bucket_begin(24) - 10.0).abs() < 1e-9);
}
