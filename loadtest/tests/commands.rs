//! The commands beside `run` and `bench`, and the report of a run, as a user calls them.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod server;
mod serving;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use server::Server;

const SCRIPT: &str = "import http from 'k6/http';
    import { Trend } from 'k6/metrics';
    const work = new Trend('work', true);
    export const options = { vus: 2, iterations: 60 };
    export default function () {
        http.get(__ENV.URL);
        work.add(Number(__ENV.WORK || 1) + Math.random());
    }";

fn weir_load(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-load"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn compares_two_runs() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("main.js"), SCRIPT).unwrap();
    let url = format!("URL={}", server.url());
    for (export, work) in [("a.json", "WORK=1"), ("b.json", "WORK=50")] {
        let arguments = ["run", "--quiet", "-e", &url, "-e", work, "--summary-export", export];
        let run = weir_load(folder, &[&arguments[..], &["main.js"]].concat());
        assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    }
    // However much the tolerance, of 50 times as long.
    let worse = weir_load(folder, &["compare", "--tolerance", "9", "a.json", "b.json"]);
    assert_eq!(worse.status.code(), Some(99), "{}", text(&worse.stderr));
    assert!(text(&worse.stdout).contains("WORSE"), "{}", text(&worse.stdout));
    let same = weir_load(folder, &["compare", "a.json", "a.json"]);
    assert_eq!(same.status.code(), Some(0));
    assert!(text(&same.stdout).contains("no regression"));

    fs::write(folder.join("k6.json"), r#"{"metrics": {}}"#).unwrap();
    fs::write(folder.join("empty.json"), b"").unwrap();
    let nothing = r#"{"metrics": {}, "weir": {"version": 1, "histogramStepsPerUnit": 1000,
        "histograms": {}}}"#;
    fs::write(folder.join("nothing.json"), nothing).unwrap();
    for other in ["k6.json", "empty.json", "missing.json", "nothing.json"] {
        let refused = weir_load(folder, &["compare", "a.json", other]);
        assert_eq!(refused.status.code(), Some(104), "{other}: {}", text(&refused.stdout));
        assert!(!refused.stderr.is_empty());
    }
    let refused = weir_load(folder, &["compare", "--tolerance", "-1", "a.json", "a.json"]);
    assert_eq!(refused.status.code(), Some(255));
}

#[test]
fn writes_a_report() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.js"), SCRIPT).unwrap();
    let url = format!("URL={}", server.url());
    let arguments = ["run", "--quiet", "-e", &url, "--report", "report.html", "main.js"];
    let run = weir_load(folder.path(), &arguments);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    for section in ["rate", "heat", "percentiles", "metrics"] {
        assert!(page.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
    assert!(page.contains("<h1>main.js</h1>") && page.contains("<b>60</b>requests"), "{page}");
}

#[test]
fn inspects_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let script = "export const options = { tags: { a: 'b' }, scenarios: {
        one: { executor: 'constant-vus', vus: 3, duration: '10s', gracefulStop: '5s' },
        two: { executor: 'per-vu-iterations', vus: 4, startTime: '5s', maxDuration: '20s',
            gracefulStop: '0s' },
    }};
    export default function () { throw new Error('not to be run'); }";
    fs::write(folder.path().join("main.js"), script).unwrap();
    let told = weir_load(folder.path(), &["inspect", "--execution-requirements", "main.js"]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let options: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(options["tags"]["a"], "b");
    assert_eq!(options["scenarios"]["one"]["vus"], 3);
    assert_eq!((&options["maxVUs"], &options["totalDuration"]), (&7.into(), &"25s".into()));
    let plain = weir_load(folder.path(), &["inspect", "-u", "5", "-d", "2s", "main.js"]);
    let options: Value = serde_json::from_slice(&plain.stdout).unwrap();
    assert!(options.get("maxVUs").is_none());
    assert_eq!(options["scenarios"]["default"]["vus"], 5);

    fs::write(folder.path().join("bad.js"), "export default function () {").unwrap();
    assert_eq!(weir_load(folder.path(), &["inspect", "bad.js"]).status.code(), Some(107));
    fs::write(folder.path().join("none.js"), "export const options = { vus: 'x' };").unwrap();
    assert_eq!(weir_load(folder.path(), &["inspect", "none.js"]).status.code(), Some(104));
}

#[test]
fn says_which_options_have_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let script = "export const options = { rps: 10, dns: { ttl: '1s' }, tlsVersion: 'tls1.3',
        localIPs: ['127.0.0.1'], linger: false, tlsAuth: [], httpDebug: 'full' };
        export default function () {}";
    fs::write(folder.path().join("main.js"), script).unwrap();
    let run = weir_load(folder.path(), &["run", "--quiet", "main.js"]);
    assert_eq!(run.status.code(), Some(0));
    let said = text(&run.stderr);
    for option in ["rps", "dns", "tlsVersion", "localIPs", "httpDebug"] {
        assert!(said.contains(&format!("`{option}` has no effect")), "{said}");
    }
    assert!(!said.contains("linger") && !said.contains("tlsAuth"), "{said}");
    let run = weir_load(folder.path(), &["run", "--quiet", "--rps", "5", "--linger", "main.js"]);
    assert!(text(&run.stderr).contains("`linger` has no effect"), "{}", text(&run.stderr));
}

#[test]
fn a_script_may_abort_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import exec from 'k6/execution';
        exec.test.abort('not today');
        export default function () {}";
    fs::write(folder.path().join("main.js"), script).unwrap();
    let run = weir_load(folder.path(), &["run", "--quiet", "main.js"]);
    assert_eq!(run.status.code(), Some(108), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("not today"));
}

#[test]
fn counts_bytes_even_when_none_were_sent() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.js"), "export default function () {}").unwrap();
    let arguments = ["run", "--quiet", "--summary-export", "a.json", "main.js"];
    assert_eq!(weir_load(folder.path(), &arguments).status.code(), Some(0));
    let export = fs::read(folder.path().join("a.json")).unwrap();
    let export: Value = serde_json::from_slice(&export).unwrap();
    assert_eq!(export["metrics"]["data_sent"]["count"], 0);
    assert_eq!(export["metrics"]["data_received"]["count"], 0);
}

#[test]
fn a_lost_output_is_said_and_no_reason_to_fail() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.js"), SCRIPT).unwrap();
    let url = format!("URL={}", server.url());
    let run =
        |out: &str| weir_load(folder.path(), &["run", "--quiet", "-e", &url, "-o", out, "main.js"]);
    let full = run("json=/dev/full");
    assert_eq!(full.status.code(), Some(0), "as under k6");
    assert!(text(&full.stderr).contains("] output: "), "{}", text(&full.stderr));
    assert_eq!(run("json=/nowhere/at/all").status.code(), Some(104));
}
