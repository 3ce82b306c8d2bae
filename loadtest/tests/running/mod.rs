//! Runs a script with the built binary against a server on loopback.

#![allow(dead_code, reason = "not every test needs every way to run a script")]

use std::{fs, process::Command};

use serde_json::Value;

use crate::server::Server;

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) summary: Value,
}

impl Run {
    pub(crate) fn value(&self, metric: &str, value: &str) -> f64 {
        self.summary["metrics"][metric][value].as_f64().unwrap_or(f64::NAN)
    }

    /// Fails with what the run said unless it ended with `code`.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }
}

pub(crate) fn run(script: &str) -> Run {
    run_with(script, &[], &[])
}

pub(crate) fn run_with(script: &str, arguments: &[&str], files: &[(&str, &str)]) -> Run {
    run_file("main.js", script, arguments, files)
}

pub(crate) fn run_file(
    name: &str,
    script: &str,
    arguments: &[&str],
    files: &[(&str, &str)],
) -> Run {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join(name);
    fs::write(&main, script).unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let export = folder.path().join("summary.json");
    let output = Command::new(env!("CARGO_BIN_EXE_weir-load"))
        .args(["run", "--quiet", "--summary-export"])
        .arg(&export)
        .args(["-e", &format!("URL={}", server.url())])
        .args(arguments)
        .arg(&main)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let summary = fs::read(&export).ok().and_then(|text| serde_json::from_slice(&text).ok());
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        summary: summary.unwrap_or_default(),
    }
}

/// Runs the body as the iteration of one VU; a check that fails fails the run.
#[track_caller]
pub(crate) fn holds(body: &str) {
    let script = format!(
        "import http from 'k6/http';
         import {{ check, group, sleep, fail }} from 'k6';
         import exec from 'k6/execution';
         import crypto from 'k6/crypto';
         import encoding from 'k6/encoding';
         export const options = {{ thresholds: {{ checks: ['rate==1'],
             iterations: ['count==1'] }} }};
         const url = __ENV.URL;
         const is = (name, a, b) => check(a, {{ [name + ' ' + JSON.stringify(a)]: () =>
             JSON.stringify(a) === JSON.stringify(b) }});
         export default async function () {{ {body} }}"
    );
    let run = run(&script).ends_with(0);
    assert!(!run.stderr.contains("ERRO"), "{}", run.stderr);
    assert!(run.value("checks", "passes") > 0.0, "{}", run.stdout);
}
