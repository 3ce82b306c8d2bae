//! The house rules, as tests: they read the source tree and name each line that breaks one.
//!
//! A rule is a function from a file to complaints. Each has a test that feeds it a bad sample: a
//! rule that cannot fail is no rule.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A text file of the repository.
struct File {
    /// Path below the top folder, with `/`.
    path: String,
    text: String,
}

/// Who may depend on whom; any other edge between our crates is an error.
const EDGES: &[(&str, &str)] = &[
    ("weir-gateway", "weir-cache"),
    ("weir-gateway", "weir-config"),
    ("weir-gateway", "weir-discovery"),
    ("weir-gateway", "weir-ratelimit"),
    ("xtask", "weir-config"),
];

const LINES_MAX: usize = 400;
const COLUMNS_MAX: usize = 100;

/// Files that may be longer, how long, and why.
const LONGER: &[(&str, usize, &str)] = &[(
    "config/src/model.rs",
    640,
    "one data model, mostly its documentation: to be read as one page",
)];

/// Words that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Files and folders that are plain computation: no socket, no task, no clock, no library that has
/// them. What they need of time and chance comes in as arguments.
const PURE: &[&str] = &[
    "cache/src/",
    "config/src/",
    "discovery/src/",
    "gateway/src/admission/memory.rs",
    "gateway/src/admission/pressure.rs",
    "gateway/src/error",
    "gateway/src/files/coding.rs",
    "gateway/src/files/kind.rs",
    "gateway/src/files/listing.rs",
    "gateway/src/files/place.rs",
    "gateway/src/files/respond.rs",
    "gateway/src/h3/",
    "gateway/src/http/deadline",
    "gateway/src/http/guard",
    "gateway/src/http/headers",
    "gateway/src/http/path",
    "gateway/src/idempotency/fingerprint.rs",
    "gateway/src/idempotency/key.rs",
    "gateway/src/idempotency/record.rs",
    "gateway/src/idempotency/state.rs",
    "gateway/src/idempotency/verdict.rs",
    "gateway/src/limit/cost.rs",
    "gateway/src/limit/fields.rs",
    "gateway/src/limit/key.rs",
    "gateway/src/limit/route.rs",
    "gateway/src/limit/verdict.rs",
    "gateway/src/listen/proxy_protocol.rs",
    "gateway/src/policy/chance.rs",
    "gateway/src/policy/fault.rs",
    "gateway/src/policy/maintenance.rs",
    "gateway/src/policy/places.rs",
    "gateway/src/policy/sticky",
    "gateway/src/policy/auth/api_key.rs",
    "gateway/src/policy/auth/certificate.rs",
    "gateway/src/policy/auth/credential.rs",
    "gateway/src/policy/auth/identity.rs",
    "gateway/src/policy/auth/keys",
    "gateway/src/policy/auth/password.rs",
    "gateway/src/policy/auth/recent.rs",
    "gateway/src/policy/auth/token",
    "gateway/src/policy/cidr.rs",
    "gateway/src/route/",
    "gateway/src/script/budget.rs",
    "gateway/src/script/fault.rs",
    "gateway/src/script/kv.rs",
    "gateway/src/telemetry/names.rs",
    "gateway/src/telemetry/trace/context.rs",
    "gateway/src/telemetry/trace/otlp.rs",
    "gateway/src/telemetry/trace/span.rs",
    "gateway/src/timers/schedule.rs",
    "gateway/src/upstream/adaptive",
    "gateway/src/upstream/alt_svc",
    "gateway/src/upstream/breaker",
    "gateway/src/upstream/h1/decode",
    "gateway/src/upstream/h1/encode",
    "gateway/src/upstream/health",
    "gateway/src/upstream/limit",
    "gateway/src/upstream/load",
    "gateway/src/upstream/outlier",
    "gateway/src/upstream/pick/",
    "gateway/src/upstream/retry/backoff",
    "gateway/src/upstream/retry/budget",
    "loadtest/src/compare",
    "loadtest/src/executor",
    "loadtest/src/metrics",
    "loadtest/src/options",
    "loadtest/src/output/",
    "loadtest/src/progress.rs",
    "loadtest/src/report",
    "loadtest/src/summary",
    "loadtest/src/threshold",
    "ratelimit/src/",
];

/// Files in those folders that are not: the way to a server.
const SHELL: &[&str] = &[
    "discovery/src/dns.rs",
    "discovery/src/dns/tests.rs",
    "discovery/src/udp.rs",
    "discovery/src/udp/run.rs",
    "discovery/src/udp/stream.rs",
    "ratelimit/src/redis.rs",
    "ratelimit/src/redis/cluster.rs",
    "ratelimit/src/redis/concurrency.rs",
    "ratelimit/src/redis/concurrency/tell.rs",
    "ratelimit/src/redis/fault.rs",
    "ratelimit/src/redis/leases.rs",
    "ratelimit/src/redis/lend.rs",
    "ratelimit/src/redis/link.rs",
    "ratelimit/src/redis/map.rs",
    "ratelimit/src/redis/runner.rs",
    "ratelimit/src/redis/script.rs",
    "ratelimit/src/redis/servers.rs",
    "ratelimit/src/redis/settle.rs",
    "ratelimit/src/redis/wait.rs",
];

/// The one module that may hold what the compiler cannot check: it switches stacks. Its crate has
/// the workspace's lints but for that one.
const UNCHECKED: &str = "loadtest/src/vm/fiber";
const UNCHECKED_CRATE: &str = "loadtest/Cargo.toml";

/// What a pure file may not name.
const IMPURE: &[&str] = &[
    "tokio::",
    "hyper::",
    "redis::",
    "h2::",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread::",
    "Instant::now",
    "SystemTime::now",
];

/// What it may name all the same, since it is data.
const DATA: &[&str] = &["h2::ext::Protocol", "hyper::ext::ReasonPhrase"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every text file of the tree that people write.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![top()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "corpus", "artifacts", "node_modules"].contains(&&*name) {
                    folders.push(path);
                }
            } else if name != "Cargo.lock"
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path.strip_prefix(top()).unwrap().to_string_lossy().replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    assert!(files.iter().any(|file| file.path == "gateway/tests/tidy.rs"), "this file is one too");
    files
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_test(&self) -> bool {
        let folders = ["tests/", "benches/", "examples/", "fuzz_targets/"];
        self.path.ends_with("/tests.rs") || folders.iter().any(|f| self.path.contains(f))
    }

    /// What stands before the file's own tests.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap()
    }

    /// Lines that hold one of `words`, but for comments when `code` is set.
    fn naming(&self, words: &[&str], code: bool) -> Vec<String> {
        let lines = self.text.lines().enumerate();
        let hits = lines.filter(|(_, line)| {
            let comment = code && line.trim_start().starts_with("//");
            !comment && words.iter().any(|word| line.contains(word))
        });
        hits.map(|(i, line)| format!("{}:{}: {}", self.path, i + 1, line.trim())).collect()
    }
}

/// Applies `rule` to every file and fails with all that it says.
fn keep(rule: impl Fn(&File) -> Vec<String>) {
    let complaints: Vec<String> = files().iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn sample(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

// === The rules ===

fn length(file: &File) -> Vec<String> {
    let lines = file.code().lines().count();
    let longer = LONGER.iter().find(|(path, ..)| *path == file.path);
    let most = longer.map_or(LINES_MAX, |(_, most, _)| *most);
    if file.is_rust() && !file.is_test() && lines > most {
        return vec![format!("{}: {lines} lines before its tests; split it", file.path)];
    }
    if longer.is_some() && lines <= LINES_MAX {
        return vec![format!("{}: is short again; take it off the list", file.path)];
    }
    Vec::new()
}

fn width(file: &File) -> Vec<String> {
    // rustfmt leaves comments and texts alone. A word that cannot be broken, an address say, may
    // stick out, and so may the input of a test.
    let too_wide = |line: &str| {
        let longest = line.split_whitespace().map(|word| word.chars().count()).max();
        let input = file.is_test() && line.contains('"');
        line.chars().count() > COLUMNS_MAX && longest.unwrap_or(0) <= 60 && !input
    };
    let lines = file.text.lines().enumerate().filter(|(_, line)| file.is_rust() && too_wide(line));
    lines.map(|(i, _)| format!("{}:{}: over {COLUMNS_MAX} columns", file.path, i + 1)).collect()
}

fn name(file: &File) -> Vec<String> {
    let parts = file.path.split('/').map(|part| part.split('.').next().unwrap());
    let empty = parts.filter(|part| EMPTY_NAMES.contains(part));
    empty
        .map(|part| format!("{}: `{part}` says nothing; name it after what it does", file.path))
        .collect()
}

fn leftovers(file: &File) -> Vec<String> {
    // Put together here, so that this file does not break its own rule.
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["unimplemented", "!("], ["to", "do!("]];
    let marks = marks.map(|parts| parts.concat());
    let watched = [".rs", ".md", ".yaml", ".lua", ".js", ".sh"];
    if !watched.iter().any(|ending| file.path.ends_with(ending)) {
        return Vec::new();
    }
    file.naming(&marks.each_ref().map(String::as_str), false)
}

fn machine_paths(file: &File) -> Vec<String> {
    let home = env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| home + "/");
    let here = format!("{}/", top().display());
    let mut words =
        vec![["/ro", "ot/"].concat(), ["/ho", "me/"].concat(), ["/Us", "ers/"].concat(), here];
    words.extend(home);
    file.naming(&words.iter().map(String::as_str).collect::<Vec<_>>(), false)
}

fn unsafety(file: &File) -> Vec<String> {
    let word = ["uns", "afe"].concat();
    let words = [" {", " fn", " impl", "_code)"].map(|rest| format!("{word}{rest}"));
    if file.is_rust() && !file.path.starts_with(UNCHECKED) {
        return file.naming(&words.each_ref().map(String::as_str), true);
    }
    let other_lints = file.path.starts_with("fuzz/") || file.path == UNCHECKED_CRATE;
    let crate_manifest = file.path.ends_with("/Cargo.toml") && !other_lints;
    let lints = file.text.contains("[lints]\nworkspace = true");
    if crate_manifest && !lints {
        return vec![format!("{}: does not take the workspace's lints", file.path)];
    }
    Vec::new()
}

fn purity(file: &File) -> Vec<String> {
    let pure = PURE.iter().any(|pure| file.path.starts_with(pure));
    let pure = pure && !SHELL.contains(&&*file.path);
    if pure && !file.is_test() {
        let code = DATA.iter().fold(file.code().to_owned(), |code, data| code.replace(data, ""));
        let code = sample(&file.path, &code);
        return code.naming(IMPURE, true);
    }
    Vec::new()
}

fn edges(metadata: &str) -> Vec<String> {
    let metadata: Value = serde_json::from_str(metadata).unwrap();
    let mut complaints = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            if dependency["path"].is_string() && !EDGES.contains(&(from, to)) {
                complaints.push(format!("{from} may not depend on {to}"));
            }
        }
    }
    complaints
}

/// Names in the table of metrics that the page about them does not hold.
fn undocumented(table: &str, page: &str) -> Vec<String> {
    let quoted = table.split('"').skip(1).step_by(2);
    let names = quoted.filter(|text| text.starts_with("weir_"));
    let missing = names.filter(|name| !page.contains(&format!("`{name}`")));
    missing.map(|name| format!("docs/metrics.md says nothing of `{name}`")).collect()
}

// === The tree keeps them ===

#[test]
fn files_are_short() {
    keep(length);
}

#[test]
fn lines_are_narrow() {
    keep(width);
}

#[test]
fn names_say_something() {
    keep(name);
}

#[test]
fn nothing_is_left_for_later() {
    keep(leftovers);
}

#[test]
fn no_path_of_one_machine() {
    keep(machine_paths);
}

#[test]
fn no_unsafe_code() {
    keep(unsafety);
}

#[test]
fn the_crate_with_unchecked_code_keeps_the_other_lints() {
    let lines = |path: &str, from: &str| -> Vec<String> {
        let text = fs::read_to_string(top().join(path)).unwrap();
        let table = text.split(from).nth(1).unwrap().split("\n[profile").next().unwrap();
        let lints = table.lines().filter(|line| line.contains(" = "));
        lints.filter(|line| !line.contains("_code = ")).map(str::to_owned).collect()
    };
    assert_eq!(
        lines(UNCHECKED_CRATE, "[lints.rust]"),
        lines("Cargo.toml", "[workspace.lints.rust]")
    );
    assert!(fs::read_to_string(top().join(UNCHECKED_CRATE)).unwrap().contains("_code = \"deny\""));
}

#[test]
fn pure_files_are_pure() {
    keep(purity);
    let files = files();
    for pure in PURE.iter().chain(SHELL) {
        assert!(files.iter().any(|file| file.path.starts_with(pure)), "there is no {pure}");
    }
}

#[test]
fn crates_stand_on_their_floors() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let output = metadata.current_dir(top()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let complaints = edges(&String::from_utf8(output.stdout).unwrap());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_metric_is_documented() {
    let table = |file: &File| file.path.starts_with("gateway/src/telemetry/names");
    let table: String = files().into_iter().filter(table).map(|file| file.text).collect();
    let page = fs::read_to_string(top().join("docs/metrics.md")).unwrap_or_default();
    let complaints = undocumented(&table, &page);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// === Each rule can fail ===

#[test]
fn a_long_file_is_noticed() {
    let long = "x\n".repeat(LINES_MAX + 1);
    assert_eq!(length(&sample("a/src/b.rs", &long)).len(), 1);
    assert_eq!(length(&sample("a/src/b/tests.rs", &long)).len(), 0);
    assert_eq!(length(&sample("a/src/b.rs", &format!("#[cfg(test)]\n{long}"))).len(), 0);
    assert_eq!(length(&sample(LONGER[0].0, "short")).len(), 1);
}

#[test]
fn a_wide_line_is_noticed() {
    assert_eq!(width(&sample("a.rs", &"word ".repeat(21))).len(), 1);
    assert_eq!(width(&sample("a.rs", &"é".repeat(120))).len(), 0);
    assert_eq!(width(&sample("a.md", &"word ".repeat(21))).len(), 0);
    let input = format!("check(\"{}\")", "word ".repeat(21));
    assert_eq!(width(&sample("a/src/b/tests.rs", &input)).len(), 0);
    assert_eq!(width(&sample("a/src/b.rs", &input)).len(), 1);
}

#[test]
fn an_empty_name_is_noticed() {
    assert_eq!(name(&sample("gateway/src/util.rs", "")).len(), 1);
    assert_eq!(name(&sample("gateway/src/helpers/x.rs", "")).len(), 1);
    assert_eq!(name(&sample("gateway/src/utility.rs", "")).len(), 0);
}

#[test]
fn a_leftover_is_noticed() {
    let mark = ["TO", "DO"].concat();
    assert_eq!(leftovers(&sample("a.rs", &format!("fn a() {{}} // {mark} later"))).len(), 1);
    assert_eq!(leftovers(&sample("a.rs", &["to", "do!()"].concat())).len(), 1);
    assert_eq!(leftovers(&sample("a.rs", "fn mastodon() {}")).len(), 0);
}

#[test]
fn a_path_of_one_machine_is_noticed() {
    let path = ["/ho", "me/me/x"].concat();
    assert_eq!(machine_paths(&sample("a.md", &path)).len(), 1);
    assert_eq!(machine_paths(&sample("a.md", "/etc/weir.yaml")).len(), 0);
}

#[test]
fn unsafe_code_is_noticed() {
    let block = ["let x = uns", "afe { 1 };"].concat();
    assert_eq!(unsafety(&sample("a.rs", &block)).len(), 1);
    assert_eq!(unsafety(&sample("a/Cargo.toml", "[package]\n")).len(), 1);
    assert_eq!(unsafety(&sample("a/Cargo.toml", "[lints]\nworkspace = true\n")).len(), 0);
}

#[test]
fn an_impure_file_is_noticed() {
    let path = "gateway/src/route/x.rs";
    assert_eq!(purity(&sample(path, "use tokio::net::TcpStream;")).len(), 1);
    assert_eq!(purity(&sample(path, "// not tokio::net\n#[cfg(test)]\nuse tokio::x;")).len(), 0);
    assert_eq!(purity(&sample("gateway/src/listen/x.rs", "use tokio::net;")).len(), 0);
    assert_eq!(purity(&sample(path, "use hyper::ext::ReasonPhrase;")).len(), 0);
    assert_eq!(purity(&sample(path, "use hyper::client;")).len(), 1);
}

#[test]
fn a_forbidden_edge_is_noticed() {
    let of = |from: &str, path: &str| {
        format!(
            r#"{{"packages":[{{"name":"{from}","dependencies":[
                {{"name":"weir-config"{path}}},{{"name":"tokio"}}]}}]}}"#
        )
    };
    assert_eq!(edges(&of("weir-cache", r#","path":"/x""#)).len(), 1);
    assert_eq!(edges(&of("weir-gateway", r#","path":"/x""#)).len(), 0);
}

#[test]
fn an_undocumented_metric_is_noticed() {
    let table = r#"metric("weir_a_total", "A") metric("weir_b_total", "B")"#;
    assert_eq!(undocumented(table, "| `weir_a_total` | A |").len(), 1);
    assert_eq!(undocumented(table, "`weir_a_total` `weir_b_total`").len(), 0);
}
