use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    metrics::{TagSet, builtin},
    options::ThresholdOption,
};

fn samples() -> Vec<Sample> {
    let at_unix = Duration::new(1_795_210_808, 339_047_049);
    let url = "http://127.0.0.1:45835/a";
    let request = TagSet::new([
        ("url", url),
        ("name", url),
        ("expected_response", "true"),
        ("extra", "e,1"),
        ("group", ""),
        ("method", "GET"),
        ("proto", "HTTP/1.1"),
        ("scenario", "default"),
        ("status", "200"),
        ("vu", "1"),
    ]);
    let check = TagSet::new([("check", "is \"200\""), ("k", "v"), ("l", "w")]);
    vec![
        Sample { metric: builtin::HTTP_REQS, value: 1.0, at_unix, tags: request.clone() },
        Sample { metric: builtin::HTTP_REQ_DURATION, value: 0.770_093, at_unix, tags: request },
        Sample { metric: builtin::CHECKS, value: 0.0, at_unix, tags: check.clone() },
        Sample { metric: builtin::CHECKS, value: 1.0, at_unix, tags: check },
    ]
}

fn thresholds(registry: &mut Registry) -> Thresholds {
    let (abort_on_fail, delay_abort_eval) = (false, Duration::ZERO);
    let option = |expression: &str| {
        let expression = expression.to_owned();
        vec![ThresholdOption { expression, abort_on_fail, delay_abort_eval }]
    };
    let options = [("http_reqs{status:200}", "count>2"), ("http_req_duration", "p(95)<500")];
    Thresholds::new(&options.map(|(m, e)| (m.to_owned(), option(e))), registry).unwrap()
}

/// The lines that k6 1.1 wrote of the same samples.
#[test]
fn json_lines_are_those_of_k6() {
    let mut registry = Registry::new();
    let thresholds = thresholds(&mut registry);
    let mut written = Vec::new();
    let mut json = Json::new(&mut written);
    json.write(&registry, &thresholds, &samples()[..2]).unwrap();
    json.write(&registry, &thresholds, &samples()[2..]).unwrap();
    json.finish().unwrap();
    let text = String::from_utf8(written).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let tags = r#""tags":{"expected_response":"true","extra":"e,1","group":"","method":"GET","name":"http://127.0.0.1:45835/a","proto":"HTTP/1.1","scenario":"default","status":"200","url":"http://127.0.0.1:45835/a"},"metadata":{"vu":"1"}"#;
    assert_eq!(
        lines[..4],
        [
            r#"{"type":"Metric","data":{"name":"http_reqs","type":"counter","contains":"default","thresholds":[],"submetrics":[{"name":"http_reqs{status:200}","suffix":"status:200","tags":{"status":"200"}}]},"metric":"http_reqs"}"#,
            &format!(
                r#"{{"metric":"http_reqs","type":"Point","data":{{"time":"2026-11-20T21:40:08.339047049Z","value":1,{tags}}}}}"#
            ),
            r#"{"type":"Metric","data":{"name":"http_req_duration","type":"trend","contains":"time","thresholds":["p(95)<500"],"submetrics":[{"name":"http_req_duration{expected_response:true}","suffix":"expected_response:true","tags":{"expected_response":"true"}}]},"metric":"http_req_duration"}"#,
            &format!(
                r#"{{"metric":"http_req_duration","type":"Point","data":{{"time":"2026-11-20T21:40:08.339047049Z","value":0.770093,{tags}}}}}"#
            ),
        ]
    );
    let checks: Value = serde_json::from_str(lines[4]).unwrap();
    assert_eq!(
        (&checks["metric"], &checks["data"]["submetrics"]),
        (&json!("checks"), &Value::Null)
    );
    assert_eq!(lines.len(), 7, "a metric is announced once");
}

#[test]
fn csv_rows_are_those_of_k6() {
    let mut written = Vec::new();
    let mut csv = Csv::new(&mut written, SystemTags::DEFAULT).unwrap();
    csv.write(&Registry::new(), &samples()).unwrap();
    csv.finish().unwrap();
    let text = String::from_utf8(written).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,proto,scenario,service,status,subproto,tls_version,url,extra_tags,metadata",
            r#"http_reqs,1795210808,1.000000,,,,true,,GET,http://127.0.0.1:45835/a,HTTP/1.1,default,,200,,,http://127.0.0.1:45835/a,"extra=e,1",vu=1"#,
            r#"http_req_duration,1795210808,0.770093,,,,true,,GET,http://127.0.0.1:45835/a,HTTP/1.1,default,,200,,,http://127.0.0.1:45835/a,"extra=e,1",vu=1"#,
            r#"checks,1795210808,0.000000,"is ""200""",,,,,,,,,,,,,,k=v&l=w,"#,
        ]
    );
}

#[test]
fn times_are_written_in_full() {
    for (seconds, nanos, text) in [
        (0, 0, "1970-01-01T00:00:00Z"),
        (951_782_400, 0, "2000-02-29T00:00:00Z"),
        (1_709_251_199, 500_000_000, "2024-02-29T23:59:59.5Z"),
        (4_102_444_799, 1, "2099-12-31T23:59:59.000000001Z"),
        (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(time::rfc3339(Duration::new(seconds, nanos)), text);
    }
}

#[test]
fn a_thread_writes_all_that_it_is_given() {
    assert_eq!(Target::parse("json", &|_| None), Ok(Target::Json(None)));
    assert_eq!(Target::parse("csv=a=b", &|_| None), Ok(Target::Csv("a=b".to_owned())));
    assert!(
        Target::parse("statsd", &|_| None).unwrap_err().to_string().contains("no output 'statsd'")
    );
    let folder = std::env::temp_dir().join(format!("weir-load-output-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let targets = [Target::Json(Some(path("a.json"))), Target::Csv(path("a.csv"))];
    let registry = Arc::new(Registry::new());
    let open = |targets: &[Target]| {
        let (registry, thresholds) = (Arc::clone(&registry), Thresholds::default());
        Outputs::open(targets, SystemTags::DEFAULT, registry, thresholds)
    };
    let outputs = open(&targets).unwrap();
    for _ in 0..100 {
        assert!(outputs.send(samples()));
    }
    outputs.finish().unwrap();
    let lines = |name: &str| std::fs::read_to_string(path(name)).unwrap().lines().count();
    assert_eq!((lines("a.json"), lines("a.csv")), (403, 401));
    let error = open(&[Target::Csv(path("none/a.csv"))]).unwrap_err();
    assert!(error.to_string().contains("none/a.csv: "), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
