//! The command line from outside: exit codes, what is printed where, and the demonstration.
#![allow(clippy::unwrap_used, reason = "what a test cannot do is its failure")]
#![allow(clippy::disallowed_methods, reason = "a test that waits reads the clock")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

const FILE: &str = r#"
listeners: ["127.0.0.1:8080"]
upstreams:
  api: { endpoints: ["127.0.0.1:9001", { address: "127.0.0.1:9002", weight: 2 }] }
  canary: { endpoints: ["127.0.0.1:9003"], protocol: h2 }
routes:
  - name: beta
    match: { host: "api.example.com", path: "/v1/**", headers: { x-beta: "1" } }
    to: canary
  - name: api
    match: { host: "api.example.com", path: "/v1/**", methods: [GET, POST] }
    split: { api: 75, canary: 25 }
    strip_prefix: /v1
    headers: { request: { set: { x-env: prod }, remove: [x-debug] } }
    timeout: { headers: 5s, total: off }
  - { name: moved, match: "/old/**", redirect: "https://{host}/new/{**}" }
  - { name: fixed, match: { path: /ok, methods: [GET] }, respond: { status: 200, body: fine } }
"#;

fn weir(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output and standard error of a command that ends by itself.
fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = weir(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Files of a test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn check_tells_valid_from_invalid() {
    let folder = Folder::new();
    let good = folder.write("good.yaml", FILE);
    let (code, stdout, stderr) = outcome(&["check", &good]);
    assert_eq!((code, &*stderr), (0, ""), "{stdout}");
    assert_eq!(stdout, format!("{good} is valid: 1 listener, 2 upstreams, 4 routes\n"));

    let bad = folder.write("bad.yaml", &FILE.replace("to: canary", "to: canari"));
    let (code, stdout, stderr) = outcome(&["check", &bad]);
    assert_eq!((code, &*stdout), (2, ""));
    assert!(stderr.contains("bad.yaml:9:9: error: "), "{stderr}");
    assert!(stderr.contains("^^^^^^") && stderr.contains("`canary`"), "{stderr}");
    let (code, ..) = outcome(&["check", folder.0.path().join("none.yaml").to_str().unwrap()]);
    assert_eq!(code, 2);
}

#[test]
fn warnings_are_told_and_do_not_fail() {
    let folder = Folder::new();
    let twice = format!("{FILE}  - {{ match: \"/old/**\", respond: 404 }}\n");
    let odd = folder.write("odd.yaml", &twice);
    let (code, stdout, stderr) = outcome(&["check", &odd]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("is valid") && stderr.contains("warning: "), "{stdout}{stderr}");
    let (code, stdout, stderr) = outcome(&["check", &odd, "--json"]);
    assert_eq!((code, &*stderr), (0, ""));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&json["valid"], &json["warnings"]), (&Value::from(true), &Value::from(1)));
}

#[test]
fn a_list_of_endpoints_that_is_wrong_is_a_warning() {
    let folder = Folder::new();
    let file = folder.write(
        "weir.yaml",
        "listeners: [\":8080\"]\nupstreams:\n  a: { discovery: { file: a.yml } }\n\
         routes: [{ to: a }]\n",
    );
    let (code, _, said) = outcome(&["check", &file]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("weir.yaml:3:8: warning:") && said.contains("cannot read"), "{said}");
    folder.write("a.yml", "- \"127.0.0.1:1\"\n- 5\n");
    let (_, _, said) = outcome(&["check", &file]);
    assert!(said.contains("a.yml:2: expected an address"), "{said}");
    folder.write("a.yml", "- \"127.0.0.1:1\"\n");
    let (code, _, said) = outcome(&["check", &file]);
    assert_eq!((code, said.as_str()), (0, ""));
}

#[test]
fn check_compiles_as_run_does() {
    let folder = Folder::new();
    let text = FILE.replace(
        r#"listeners: ["127.0.0.1:8080"]"#,
        r#"listeners: [{ bind: "127.0.0.1:0", tls: { cert: no.pem, key: no.key } }]"#,
    );
    let file = folder.write("tls.yaml", &text);
    for arguments in [&["check", &*file][..], &["run", "-c", &*file]] {
        let (code, stdout, stderr) = outcome(arguments);
        assert_eq!((code, &*stdout), (2, ""), "{arguments:?}");
        assert!(stderr.contains("no.pem: no such file"), "{stderr}");
    }
    let (code, stdout, _) = outcome(&["check", &file, "--json"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["valid"]), (2, &Value::from(false)));
    let first = &json["diagnostics"][0];
    assert_eq!((&first["severity"], &first["line"]), (&Value::from("error"), &Value::from(2)));
}

#[test]
fn an_explained_file_means_the_same() {
    let folder = Folder::new();
    let file = folder.write("weir.yaml", FILE);
    let (code, explained, stderr) = outcome(&["check", &file, "--explain"]);
    assert_eq!((code, &*stderr), (0, ""));
    assert!(explained.contains("header_read: 10s"), "{explained}");
    let again = folder.write("explained.yaml", &explained);
    let (code, stdout, _) = outcome(&["diff", &file, &again]);
    assert_eq!((code, &*stdout), (0, "nothing changed: both files mean the same\n"));
}

#[test]
fn diff_lists_what_a_reload_would_change() {
    let folder = Folder::new();
    let old = folder.write("old.yaml", FILE);
    let new = folder.write("new.yaml", &FILE.replace("headers: 5s", "headers: 7s"));
    let (code, stdout, stderr) = outcome(&["diff", &old, &new]);
    assert_eq!((code, &*stderr), (0, ""));
    assert_eq!(stdout, "~ routes[api].timeout.headers: 5s -> 7s\n1 change\n");
    let bad = folder.write("bad.yaml", "listeners: 5");
    let (code, stdout, stderr) = outcome(&["diff", &old, &bad]);
    assert_eq!((code, &*stdout), (2, ""));
    assert!(stderr.contains("bad.yaml:1:12: error: "), "{stderr}");
}

/// The answer of `weir route` as lines of label and text.
fn route(file: &str, arguments: &[&str]) -> (i32, Vec<(String, String)>) {
    let (code, stdout, stderr) = outcome(&[&["route", file], arguments].concat());
    assert_eq!(stderr, "", "{stdout}");
    let line = |line: &str| (line[..17].trim_end().to_owned(), line[18..].to_owned());
    (code, stdout.lines().map(line).collect())
}

fn says(lines: &[(String, String)], label: &str, text: &str) -> bool {
    lines.iter().any(|(l, t)| l == label && t.contains(text))
}

#[test]
fn route_tells_what_takes_a_request_and_what_happens_to_it() {
    let folder = Folder::new();
    let file = folder.write("weir.yaml", FILE);
    let (code, lines) = route(&file, &["GET", "https://API.example.com:443/v1/./users%2f?page=2"]);
    assert_eq!(code, 0);
    let expected = [
        ("request", "GET https://api.example.com/v1/users%2F"),
        ("route", "`api` ("),
        ("route", "weir.yaml:10)"),
        ("because of", "host api.example.com, path /v1/**, method GET, HEAD, POST"),
        ("forward to", "`api` for 75%, p2c over 127.0.0.1:9001, 127.0.0.1:9002 (weight 2); h1"),
        ("forward to", "`canary` for 25%, p2c over 127.0.0.1:9003; h2"),
        ("path upstream", "/users%2F?page=2 (rewritten)"),
        ("timeout", "headers 5s, total off, idle "),
        ("request headers", "remove x-debug"),
        ("request headers", "set x-env: prod"),
        ("passed over", "weir.yaml:7): wants another `x-beta` header"),
    ];
    for (label, text) in expected {
        assert!(says(&lines, label, text), "no {label}: {text} in {lines:#?}");
    }

    let (code, lines) =
        route(&file, &["DELETE", "api.example.com/v1", "-H", "X-Beta: 1", "-H", "a:b"]);
    assert_eq!(code, 0);
    assert!(says(&lines, "route", "`beta`") && says(&lines, "path upstream", "/v1"), "{lines:?}");
    let (_, lines) = route(&file, &["HEAD", "/ok"]);
    assert!(says(&lines, "respond", "200, 4 bytes"), "{lines:?}");
    let (_, lines) = route(&file, &["GET", "/old/a?b", "-H", "Host: x.org"]);
    assert!(says(&lines, "redirect", "308 to https://x.org/new/a"), "{lines:?}");
}

#[test]
fn route_tells_whose_a_key_is() {
    let folder = Folder::new();
    let file = folder.write(
        "weir.yaml",
        "listeners: [\":8080\"]\nupstreams:\n  a:\n    endpoints: [{ address: \"127.0.0.1:1\", name: \
         one }, { address: \"127.0.0.1:2\", name: two }]\n    balance: { rendezvous: { key: \
         \"header:x-user\" } }\nroutes: [{ to: a }]\n",
    );
    let owner = |user: &str| {
        let (code, lines) = route(&file, &["GET", "/", "-H", &format!("x-user: {user}")]);
        assert_eq!(code, 0);
        lines.into_iter().find(|(label, _)| label == "endpoint").unwrap().1
    };
    let owners: Vec<String> = (0..20).map(|user| owner(&format!("u{user}"))).collect();
    let count = |text: &str| owners.iter().filter(|owner| *owner == text).count();
    let one = count("127.0.0.1:1 (one) of `a`, by header:x-user");
    let two = count("127.0.0.1:2 (two) of `a`, by header:x-user");
    assert!(one > 2 && two > 2 && one + two == 20, "{owners:?}");
    let (_, lines) = route(&file, &["GET", "/"]);
    let expected = "any of `a`, for the request has no header:x-user";
    assert!(says(&lines, "endpoint", expected), "{lines:?}");
}

#[test]
fn keys_in_lua_are_compiled_by_check_and_computed_by_route() {
    let folder = Folder::new();
    let text = "listeners: [\":8080\"]\nupstreams:\n  a:\n    endpoints: [\"127.0.0.1:1\", \
                \"127.0.0.1:2\"]\n    balance: { ring: { key: 'lua:req.path:sub(1, 2)' } }\nroutes:\n  \
                - to: a\n    rate_limit: { key: 'lua:req.headers[\"x-a\"]:upper()', rate: 1/s }\n    \
                cache: { key: { lua: 'req.method' } }\n";
    let file = folder.write("weir.yaml", text);
    let (code, lines) = route(&file, &["GET", "/abc", "-H", "x-a: b"]);
    assert_eq!(code, 0);
    let limit = "lua:req.headers[\"x-a\"]:upper(), which makes `B`";
    assert!(says(&lines, "limit by", limit), "{lines:?}");
    assert!(says(&lines, "cached by", "lua:req.method, which makes `GET`"), "{lines:?}");
    assert!(says(&lines, "endpoint", "of `a`, by lua:req.path:sub(1, 2)"), "{lines:?}");
    let (_, lines) = route(&file, &["GET", "/abc"]);
    assert!(says(&lines, "limit by", "which makes nothing, for it fails"), "{lines:?}");

    for (right, wrong, place) in [
        ("req.path:sub(1, 2)", "req.path:sub(1, 2", "weir.yaml:5:29: error: "),
        ("req.headers[\"x-a\"]:upper()", "return 1", "weir.yaml:8:24: error: "),
        ("'req.method'", "'req.'", "weir.yaml:9:26: error: "),
    ] {
        let file = folder.write("weir.yaml", &text.replace(right, wrong));
        let (code, stdout, stderr) = outcome(&["check", &file]);
        assert_eq!((code, &*stdout), (2, ""));
        let what = "this is no expression in Lua: line 1: ";
        assert!(stderr.contains(place) && stderr.contains(what), "{stderr}");
        assert!(stderr.contains("it says one value, such as"), "{stderr}");
    }
}

#[test]
fn route_tells_by_which_bound_bodies_are_decoded() {
    let folder = Folder::new();
    let file = folder.write(
        "weir.yaml",
        "listeners: [\":8080\"]\nupstreams: { a: { endpoints: [\"127.0.0.1:1\"] } }\nroutes:\n  \
         - { match: /a, to: a, decompress: true, max_body: 1MiB }\n  \
         - { match: /b, to: a, decompress: true }\n",
    );
    for (path, most) in [("/a", "1MiB"), ("/b", "limits.body")] {
        let (_, lines) = route(&file, &["GET", path]);
        let expected = format!("up to {most}, 100 times as long as it came");
        assert!(says(&lines, "decompress", &expected), "{lines:?}");
    }
}

#[test]
fn route_tells_where_a_connect_goes() {
    let folder = Folder::new();
    let file = folder.write(
        "weir.yaml",
        "listeners: [\":8080\"]\nupstreams: { db: { endpoints: [\"127.0.0.1:5432\"] } }\nroutes:\n  \
         - { match: { host: db.test, methods: [CONNECT] }, to: db }\n  - { respond: 200 }\n",
    );
    let (code, lines) = route(&file, &["CONNECT", "db.test:5432"]);
    assert_eq!(code, 0);
    for (label, text) in [
        ("request", "CONNECT db.test:5432"),
        ("because of", "method CONNECT"),
        ("forward to", "`db`, p2c over 127.0.0.1:5432"),
        ("sent upstream", "no request"),
    ] {
        assert!(says(&lines, label, text), "no {label}: {text} in {lines:#?}");
    }
    let (code, lines) = route(&file, &["CONNECT", "other.test:5432"]);
    assert!(code == 1 && says(&lines, "no route", "405"), "{lines:?}");
    assert!(says(&lines, "passed over", "does not name CONNECT"), "{lines:?}");
    let (code, stdout, _) = outcome(&["route", &file, "CONNECT", "db.test"]);
    assert!(code == 1 && stdout.contains("no route is asked: 400"), "{stdout}");
}

#[test]
fn route_tells_why_no_route_takes_a_request() {
    let folder = Folder::new();
    let file = folder.write("weir.yaml", FILE);
    let (code, lines) = route(&file, &["GET", "/"]);
    assert!(code == 1 && says(&lines, "no route", "404"), "{lines:?}");
    let (code, lines) = route(&file, &["POST", "/ok"]);
    assert!(code == 1 && says(&lines, "no route", "405"), "{lines:?}");
    assert!(says(&lines, "no route", "Allow: GET, HEAD"), "{lines:?}");
    assert!(says(&lines, "passed over", "takes GET, HEAD only"), "{lines:?}");
    for (method, url) in [("GET", "/%zz"), ("TRACE", "/"), ("GET", "/../x")] {
        let (code, stdout, _) = outcome(&["route", &file, method, url]);
        assert!(code == 1 && stdout.contains("no route is asked: 40"), "{url}: {stdout}");
    }
    for wrong in [
        ["route", "none.yaml", "GET", "/", "-Ha:b"],
        ["route", &file, "G T", "/", "-Ha:b"],
        ["route", &file, "GET", "http://", "-Ha:b"],
        ["route", &file, "GET", "ftp://x/", "-Ha:b"],
        ["route", &file, "GET", "/", "-Hab"],
    ] {
        let (code, stdout, stderr) = outcome(&wrong);
        assert_eq!((code, &*stdout), (2, ""), "{wrong:?}");
        assert!(stderr.contains("error: "), "{stderr}");
    }
}

#[test]
fn other_commands_keep_their_words() {
    let (code, stdout, _) = outcome(&["--version"]);
    assert_eq!((code, stdout), (0, format!("weir {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, stdout, _) = outcome(&["schema"]);
    assert_eq!(code, 0);
    assert!(serde_json::from_str::<Value>(&stdout).unwrap()["properties"]["routes"].is_object());
    let (code, stdout, _) = outcome(&["reference"]);
    assert!(code == 0 && stdout.starts_with("# weir.yaml\n"));
    let (code, stdout, _) = outcome(&["--help"]);
    assert!(code == 0 && stdout.contains("Exit codes:") && !stdout.contains("reference"));
    let (code, _, stderr) = outcome(&["agent"]);
    assert!(code == 2 && stderr.contains("--service"), "{stderr}");
    let (code, _, stderr) = outcome(&["agnet"]);
    assert!(code == 2 && stderr.contains("unrecognized subcommand 'agnet'"), "{stderr}");
    let (code, _, stderr) = outcome(&["run", "--listen", ":0"]);
    assert!(code == 2 && stderr.contains("--to"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let mut child = weir(&["schema"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// A gateway's process; dropping it ends it.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self(weir(arguments).spawn().unwrap())
    }

    /// Sends a signal and waits for the exit code.
    fn stop(mut self, signal: &str) -> Option<i32> {
        let kill = format!("kill -{signal} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not stop");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers every connection with this text and closes it.
fn origin(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("content-length: {}\r\nconnection: close", text.len());
            // The gateway may have gone.
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{text}");
        }
    });
    address
}

#[test]
fn a_gateway_in_one_line_forwards_and_drains() {
    let to = origin("from the origin");
    let mut running = Running::start(&["run", "--listen", "127.0.0.1:0", "--to", &to]);
    let mut stderr = BufReader::new(running.0.stderr.take().unwrap());
    let mut listening = String::new();
    while !listening.contains("is listening") {
        listening.clear();
        assert!(stderr.read_line(&mut listening).unwrap() > 0, "it ended");
    }
    let address = listening.split("listeners=\"").nth(1).unwrap().split(' ').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("from the origin"), "{answer}");
    drop(stream);
    assert_eq!(running.stop("TERM"), Some(0));

    let (code, _, stderr) = outcome(&["run", "--listen", ":0", "--to", "nonsense"]);
    assert!(code == 2 && stderr.contains("command-line:3:"), "{stderr}");
}

/// What the lines of the demonstration must bring: a part of the line, and parts of the answer.
const SEEN: &[(&str, &[&str])] = &[
    ("/hello", &["blue: GET /hello", "green: GET /hello"]),
    ("/{fail,slow}", &["connection_terminated", "http_response_timeout"]),
    ("/echo", &["HTTP/2 200", "ping"]),
    ("/stream", &["data: event 1 of 5", "data: event 5 of 5"]),
    ("/headers", &["x-demo: 1", "x-forwarded-for: 127.0.0.1", "server: weir"]),
    ("/old", &["308 Permanent Redirect", "location: /fixed", "no service asked"]),
    (
        "/limited",
        &["\"per-client\";q=3;w=60", "\"per-client\";r=0", "429 Too Many Requests", "retry-after:"],
    ),
    ("pay=5", &["HTTP/1.1 200", "POST /pay", "idempotent-replayed: true"]),
    ("pay=6", &["HTTP/1.1 422", "idempotency-key-reused"]),
    ("soft=1", &["\"entries\"", "weir; hit; ttl=", "detail=stale-while-revalidate", "news of"]),
    ("tag=news'", &["\"entries\"", "weir; fwd=uri-miss", "news of"]),
    ("/news", &["weir; fwd=uri-miss; stored", "weir; hit; ttl=", "\r\nage: "]),
    ("/metrics", &["weir_requests_total"]),
    ("/reload", &[]),
];

#[test]
fn each_line_of_the_demo_shows_what_it_promises() {
    let mut running = Running::start(&["demo"]);
    let mut stdout = BufReader::new(running.0.stdout.take().unwrap());
    let mut page = String::new();
    while !page.contains("Ctrl-C") {
        assert!(stdout.read_line(&mut page).unwrap() > 0, "it ended: {page}");
    }
    // The access log must find a reader.
    thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("  curl ")).collect();
    assert_eq!(commands.len(), SEEN.len(), "{page}");
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("without `curl`: no look at what the lines show");
    } else {
        for command in commands {
            let (_, expected) = SEEN.iter().find(|(part, _)| command.contains(part)).unwrap();
            let output = Command::new("sh").args(["-c", command]).output().unwrap();
            assert!(output.status.success(), "{command}: {output:?}");
            let answer = String::from_utf8(output.stdout).unwrap().to_lowercase();
            for text in *expected {
                assert!(answer.contains(&text.to_lowercase()), "no {text} by {command}: {answer}");
            }
        }
    }
    assert_eq!(running.stop("INT"), Some(0));
}
