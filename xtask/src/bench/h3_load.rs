//! Load over HTTP/3, by oha, and what it says of it.

use std::time::Duration;

use serde_json::Value;

use super::{
    load::{Latency, Load},
    scenario::{Scenario, Spread},
    server::{CORE_OTHERS, pinned},
};
use crate::process::{find, output};

/// Beyond its time a request that never ends would keep oha waiting for good.
const GRACE: Duration = Duration::from_secs(20);

/// Sends load to `port` for `length`; any response that is not a whole good one is an error.
pub(super) fn saturate(scenario: Scenario, port: u16, length: Duration) -> Result<Load, String> {
    let oha = find("oha").ok_or("oha is not installed (see --install)")?;
    let Spread { connections, streams } = scenario.spread().ok_or("not a scenario of HTTP/3")?;
    let most = (length + GRACE).as_secs();
    let mut words = vec!["timeout".into(), most.to_string(), oha.display().to_string()];
    // It waits for requests that are under way at the end: else they count as failed.
    let fixed = "--no-tui --output-format json --insecure --http-version 3 --worker-threads 1 -w";
    words.extend(fixed.split(' ').map(str::to_owned));
    words.extend([format!("-z{}s", length.as_secs()), format!("-c{connections}")]);
    words.extend([format!("-p{streams}"), format!("https://127.0.0.1:{port}{}", scenario.path())]);
    said(&output(&mut pinned(CORE_OTHERS, &words))?, scenario.body())
}

fn said(text: &str, body: usize) -> Result<Load, String> {
    let report: Value = serde_json::from_str(text).map_err(|e| format!("oha: {e}\n{text}"))?;
    let counts = |key: &str| -> Result<Vec<(&str, u64)>, String> {
        let map = report[key].as_object().ok_or_else(|| format!("oha told no {key}:\n{text}"))?;
        Ok(map.iter().map(|(name, n)| (name.as_str(), n.as_u64().unwrap_or(u64::MAX))).collect())
    };
    let number = |group: &str, key: &str| {
        report[group][key].as_f64().ok_or_else(|| format!("oha told no {group}.{key}:\n{text}"))
    };
    if let Some((error, times)) = counts("errorDistribution")?.first() {
        return Err(format!("{times} requests failed: {error}"));
    }
    let statuses = counts("statusCodeDistribution")?;
    if let Some((status, times)) = statuses.iter().find(|(status, _)| *status != "200") {
        return Err(format!("{times} responses of status {status}"));
    }
    let requests: u64 = statuses.iter().map(|(_, times)| times).sum();
    if requests == 0 {
        return Err("no request was answered".into());
    }
    let bytes = report["summary"]["totalData"].as_u64();
    if bytes != Some(requests * body as u64) {
        return Err(format!("{bytes:?} bytes in {requests} responses of {body}"));
    }
    let rate = requests as f64 / number("summary", "total")?;
    let point = |key| number("latencyPercentiles", key).map(Duration::from_secs_f64);
    let latency = Latency { p50: point("p50")?, p99: point("p99")? };
    Ok(Load { requests, rate, latency: Some(latency) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = r#"{"summary": {"successRate": 1.0, "total": 2.0, "totalData": 102400},
        "latencyPercentiles": {"p50": 0.0001, "p99": 0.002, "p99.9": 0.003},
        "statusCodeDistribution": {"200": 100}, "errorDistribution": {}}"#;

    #[test]
    fn oha_is_understood() {
        let load = said(SAID, 1024).unwrap();
        assert_eq!((load.requests, load.rate), (100, 50.0));
        assert_eq!(load.latency.unwrap().p50, Duration::from_micros(100));
    }

    #[test]
    fn anything_but_whole_good_responses_voids_the_round() {
        for (from, to) in [
            (r#""errorDistribution": {}"#, r#""errorDistribution": {"reset": 1}"#),
            (r#"{"200": 100}"#, r#"{"200": 99, "502": 1}"#),
            (r#"{"200": 100}"#, "{}"),
            (r#"{"200": 100}"#, "null"),
            ("102400", "102399"),
            ("102400", "102401"),
            ("0.002", "null"),
        ] {
            assert!(said(&SAID.replace(from, to), 1024).is_err(), "{to}");
        }
        assert!(said("", 1024).is_err());
    }
}
