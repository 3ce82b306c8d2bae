use serde_json::json;

use super::*;

/// A run of `count` requests whose times are spread around `ms`, and whose `failed` failed. The
/// numbers come from a fixed sequence: `seed` tells runs apart.
fn run(count: u32, ms: f64, failed: u32, seed: u32) -> Value {
    let (mut duration, mut few) = (Trend::new(), Trend::new());
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    for _ in 0..count {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let uniform = (f64::from(state) + 0.5) / 4_294_967_296.0;
        duration.add(ms * (1.0 - uniform.ln()));
    }
    few.add(1.0);
    let histograms = json!({
        "http_req_duration": duration.encode(),
        "http_req_waiting": duration.encode(),
        "http_req_duration{expected_response:true}": duration.encode(),
        "few": few.encode(),
    });
    json!({
        "metrics": {
            "http_req_failed": { "value": 0, "passes": failed, "fails": count - failed },
            "checks": { "value": 1, "passes": count, "fails": 0 },
        },
        "weir": { "version": 1, "histogramStepsPerUnit": Trend::STEPS_PER_UNIT,
                  "histograms": histograms },
    })
}

fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let comparison = compare(before, after, 0.05).unwrap();
    assert!(comparison.rows[..4].iter().all(|row| row.metric == "http_req_duration"));
    comparison.rows.iter().map(|row| row.change).collect()
}

#[test]
fn the_same_server_twice_is_no_regression() {
    for seed in 1..20 {
        let (before, after) = (run(5_000, 10.0, 5, seed), run(5_000, 10.0, 7, seed + 100));
        assert_eq!(changes(&before, &after), [Change::Same; 6], "{seed}");
    }
}

#[test]
fn a_slower_one_is() {
    let (before, after) = (run(5_000, 10.0, 0, 1), run(5_000, 12.0, 0, 2));
    let comparison = compare(&before, &after, 0.05).unwrap();
    assert!(comparison.is_regression());
    let text = comparison.text();
    assert!(text.contains("WORSE") && text.contains("regression: "), "{text}");
    assert_eq!(changes(&after, &before)[0], Change::Better);
    assert!(!compare(&after, &before, 0.05).unwrap().is_regression());
    // Certain, but within the tolerance.
    let (before, after) = (run(200_000, 10.0, 0, 1), run(200_000, 10.3, 0, 2));
    assert!(!compare(&before, &after, 0.05).unwrap().is_regression());
    assert!(compare(&before, &after, 0.01).unwrap().is_regression());
    // Beyond it, but too few to be certain.
    let (before, after) = (run(40, 10.0, 0, 1), run(40, 11.0, 0, 2));
    assert!(!compare(&before, &after, 0.05).unwrap().is_regression());
}

#[test]
fn one_that_fails_more_often_is_too() {
    let (before, after) = (run(5_000, 10.0, 5, 1), run(5_000, 10.0, 50, 2));
    assert_eq!(changes(&before, &after)[4], Change::Worse);
    assert_eq!(changes(&after, &before)[4], Change::Better);
}

#[test]
fn other_files_are_refused() {
    let run = run(50, 1.0, 0, 1);
    let refused = |before: &Value, after: &Value| compare(before, after, 0.05).unwrap_err();
    let first = CompareError::NoHistograms("the first file");
    assert_eq!(refused(&json!({ "metrics": {} }), &run), first);
    assert_eq!(refused(&json!(null), &run), first);
    let mut newer = run.clone();
    newer["weir"]["version"] = json!(2);
    assert_eq!(refused(&run, &newer), CompareError::Version("the second file"));
    let mut broken = run.clone();
    broken["weir"]["histograms"]["http_req_duration"] = json!("AAAA");
    assert!(compare(&run, &broken, 0.05).unwrap().rows.iter().all(|row| row.stat == "rate"));
}
