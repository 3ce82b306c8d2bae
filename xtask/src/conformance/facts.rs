//! What a run says of itself, made comparable.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

/// Metrics that only weir-load has.
const OURS: &[&str] = &["iteration_latency", "http_req_latency", "schedule_lag"];
/// Sampled each second, so that they are there or not by chance.
const SAMPLED: &[&str] = &["vus", "vus_max"];
/// Counters of bytes, which say how a program writes its requests.
const BYTES: &[&str] = &["data_sent", "data_received"];
/// Trends of times, of which no two runs have the same.
const TIMES: &[&str] =
    &["_duration", "_blocked", "_connecting", "_handshaking", "_sending", "_waiting", "_receiving"];

/// What a run ended with and counted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) code: i32,
    metrics: BTreeMap<String, String>,
    checks: BTreeMap<String, String>,
    thresholds: BTreeMap<String, String>,
    /// Standard output, where the script wrote it.
    said: Option<String>,
}

impl Facts {
    /// Of a run that wrote its summary to `folder`; some runs write none.
    pub(super) fn read(code: i32, folder: &Path, says: bool) -> Result<Self, String> {
        let path = folder.join("summary.json");
        let mut facts = Self { code, ..Self::default() };
        if says {
            let said = fs::read_to_string(folder.join("stdout")).unwrap_or_default();
            // The program's own text is full of times.
            let is_own = said.contains("TOTAL RESULTS");
            facts.said = Some(if is_own { "its own summary".to_owned() } else { said });
        }
        let Ok(text) = fs::read_to_string(&path) else { return Ok(facts) };
        let summary: Value =
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        facts.add(&summary);
        Ok(facts)
    }

    fn add(&mut self, summary: &Value) {
        for (name, values) in summary["metrics"].as_object().into_iter().flatten() {
            let base = name.split('{').next().unwrap_or(name);
            if OURS.contains(&base) || SAMPLED.contains(&base) {
                continue;
            }
            self.metrics.insert(name.clone(), shown(base, values));
            for (source, crossed) in values["thresholds"].as_object().into_iter().flatten() {
                let verdict = if *crossed == Value::Bool(true) { "crossed" } else { "held" };
                self.thresholds.insert(format!("{name}: {source}"), verdict.to_owned());
            }
        }
        self.add_group(&summary["root_group"]);
    }

    fn add_group(&mut self, group: &Value) {
        for check in group["checks"].as_object().into_iter().flatten().map(|(_, check)| check) {
            let path = check["path"].as_str().unwrap_or_default().to_owned();
            self.checks
                .insert(path, format!("{} passed, {} failed", check["passes"], check["fails"]));
        }
        for inner in group["groups"].as_object().into_iter().flatten().map(|(_, inner)| inner) {
            self.checks.insert(format!("group {}", inner["path"]), String::new());
            self.add_group(inner);
        }
    }

    /// How many metrics, checks and thresholds.
    pub(super) fn counts(&self) -> [usize; 3] {
        [self.metrics.len(), self.checks.len(), self.thresholds.len()]
    }

    /// What these of k6 and those of weir-load do not have in common.
    pub(super) fn differences(&self, ours: &Self, varying: &[String]) -> Vec<String> {
        let mut differences = Vec::new();
        if self.code != ours.code {
            differences.push(format!("exit code: k6 {}, ours {}", self.code, ours.code));
        }
        if self.said != ours.said {
            let said = |facts: &Self| facts.said.clone().unwrap_or_default();
            differences.push(format!("output: k6 {:?}, ours {:?}", said(self), said(ours)));
        }
        for (what, k6, ours) in [
            ("metric", &self.metrics, &ours.metrics),
            ("check", &self.checks, &ours.checks),
            ("threshold", &self.thresholds, &ours.thresholds),
        ] {
            let names: BTreeSet<&String> = k6.keys().chain(ours.keys()).collect();
            for name in names {
                let (one, other) = (k6.get(name), ours.get(name));
                let base = name.split('{').next().unwrap_or(name);
                let varies = varying.iter().any(|varying| varying == base);
                if one == other || (varies && one.is_some() == other.is_some()) {
                    continue;
                }
                let text = |value: Option<&String>| value.map_or("none", |v| v).to_owned();
                let (one, other) = (text(one), text(other));
                differences.push(format!("{what} {name}: k6 {one}, ours {other}"));
            }
        }
        differences
    }
}

/// The values of a metric that do not depend on time.
fn shown(base: &str, values: &Value) -> String {
    let is_time = TIMES.iter().any(|end| base.ends_with(end));
    if is_time || BYTES.contains(&base) {
        return "there".to_owned();
    }
    let values = values.as_object().into_iter().flatten();
    // A counter's rate depends on how long the run took.
    let values = values.filter(|(key, _)| *key != "thresholds" && *key != "rate");
    let mut values: Vec<String> = values
        .map(|(key, value)| match value.as_f64() {
            // Percentiles of a histogram are right to three digits.
            Some(number) if key.starts_with("p(") || key == "med" => format!("{key}~{number:.1e}"),
            Some(number) => format!("{key}={}", (number * 1e6).round() / 1e6),
            None => format!("{key}={value}"),
        })
        .collect();
    values.sort();
    values.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(summary: &Value) -> Facts {
        let mut facts = Facts::default();
        facts.add(summary);
        facts
    }

    #[test]
    fn what_differs_is_told_and_times_do_not_matter() {
        let k6 = facts(&json!({
            "metrics": {
                "iterations": { "count": 3, "rate": 1.5, "thresholds": { "count>4": true } },
                "iteration_duration": { "avg": 1.0, "p(95)": 2.0 },
                "vus": { "value": 1 },
            },
            "root_group": { "checks": { "a": { "path": "::a", "passes": 1, "fails": 0 } } },
        }));
        let ours = facts(&json!({
            "metrics": {
                "iterations": { "count": 3, "rate": 1.7, "thresholds": { "count>4": false } },
                "iteration_duration": { "avg": 7.0, "p(95)": 9.0 },
                "schedule_lag": { "avg": 1.0 },
            },
            "root_group": { "checks": { "a": { "path": "::a", "passes": 0, "fails": 1 } } },
        }));
        assert_eq!(
            k6.differences(&ours, &[]),
            [
                "check ::a: k6 1 passed, 0 failed, ours 0 passed, 1 failed",
                "threshold iterations: count>4: k6 crossed, ours held"
            ]
        );
        assert_eq!(ours.counts(), [2, 1, 1]);
        assert!(k6.differences(&k6, &[]).is_empty());
    }
}
