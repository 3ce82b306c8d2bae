//! What an operator sees: the access log, metrics, `/limits`.

use super::{get, limited};
use crate::support::{eventually, gateway::Gateway};

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.admin("GET", "/metrics").text();
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn denials_are_logged_counted_and_listed() {
    let (_origin, gateway) = limited(
        "rate_limit: [{ name: key, key: header:x-key, rate: 2/m }, \
         { name: dry, rate: 1/m, dry_run: true }]",
    );
    let mut client = gateway.client();
    for n in 0..5 {
        let expected = if n < 2 { 200 } else { 429 };
        assert_eq!(get(&mut client, &format!("/{n}?"), "X-Key: secret\r\n").status, expected);
    }
    let line = gateway.access_line("\"/0?\"");
    assert!(line["limit"].is_null() && line["limit_dry_run"].is_null(), "{line}");
    let line = gateway.access_line("\"/1?\"");
    assert!(line["limit"].is_null() && line["limit_dry_run"] == "dry", "{line}");
    let line = gateway.access_line("\"/4?\"");
    assert_eq!((&line["limit"], &line["flag"]), (&"key".into(), &"RL".into()), "{line}");
    assert_eq!((&line["status"], &line["attempts"]), (&429.into(), &0.into()), "{line}");
    let count = |limit: &str, outcome: &str| {
        let labels = format!("route=\"api\",limit=\"{limit}\",outcome=\"{outcome}\"");
        metric(&gateway, &format!("weir_rate_limit_total{{{labels}}}"))
    };
    assert!(eventually(|| (count("key", "denied") - 3.0).abs() < 0.1));
    assert!((count("key", "allowed") - 2.0).abs() < 0.1);
    assert!((count("dry", "allowed") - 1.0).abs() < 0.1);
    assert!((count("dry", "dry_run_denied") - 4.0).abs() < 0.1);
    assert!((metric(&gateway, "weir_rate_limit_keys ") - 2.0).abs() < 0.1);
    let errors =
        "weir_request_errors_total{route=\"api\",upstream=\"origin\",error=\"rate_limited\"}";
    assert!(eventually(|| (metric(&gateway, errors) - 3.0).abs() < 0.1));
    let tree = gateway.admin("GET", "/limits").json();
    let (key, dry) = (&tree["limits"][0], &tree["limits"][1]);
    assert_eq!((&key["route"], &key["name"]), (&"api".into(), &"key".into()));
    assert_eq!(key["key"][0], "header:x-key");
    assert_eq!(key["counts"]["denied"], 3);
    let listed = key["denied_most"][0]["key"].as_str().unwrap();
    assert!(listed.starts_with("header:x-key#") && !tree.to_string().contains("secret"), "{tree}");
    assert_eq!(dry["denied_most"][0]["key"], "127.0.0.1");
    assert_eq!(dry["denied_most"][0]["count"], 4);
    assert_eq!((&tree["keys"]["kept"], &tree["keys"]["max"]), (&2.into(), &1_000_000.into()));
}

#[test]
fn keys_that_are_as_good_as_new_are_swept() {
    let (_origin, gateway) = limited("rate_limit: { key: header:x-key, rate: 1000/s }");
    let mut client = gateway.client();
    for n in 0..50 {
        assert_eq!(get(&mut client, "/", &format!("X-Key: {n}\r\n")).status, 200);
    }
    let kept = || gateway.admin("GET", "/limits").json()["keys"]["kept"] == 0;
    assert!(eventually(kept), "{}", gateway.admin("GET", "/limits").text());
}
