//! The scenarios that come with the program, against a gateway that does as it should, and against
//! a service without one, which does not.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// A service that counts what it does: no two answers are the same.
fn service() -> SocketAddr {
    named_service("answer", &Arc::default())
}

/// One that says who it is, and breaks connections once it `ended`.
fn named_service(name: &'static str, ended: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = Arc::clone(ended);
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), count.clone());
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(path) = request(&mut reader) {
                    if path.starts_with("/fail") || ended.load(Relaxed) {
                        return;
                    }
                    let pause = if path.starts_with("/keys") { 0 } else { 5 };
                    thread::sleep(Duration::from_millis(pause));
                    let body = match path.starts_with("/large") {
                        true => "x".repeat(8 << 20),
                        false => format!("{name} {}", count.fetch_add(1, Relaxed)),
                    };
                    let kept = if path.starts_with("/news") { "max-age=60" } else { "no-store" };
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncache-control: {kept}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The path of the next request, whose body is read.
fn request(reader: &mut impl std::io::BufRead) -> Option<String> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
            return path;
        }
        if path.is_none() {
            path = line.split(' ').nth(1).map(str::to_owned);
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
}

/// The gateway's binary beside this one, built if it is not there.
fn weir() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_weir-load")).with_file_name("weir");
    if !path.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--package", "weir-gateway", "--bin", "weir"])
            .status();
        assert!(built.unwrap().success());
    }
    path
}

struct Gateway {
    child: Child,
    folder: tempfile::TempDir,
    target: String,
    admin: String,
}

impl Gateway {
    fn start(service: SocketAddr) -> Self {
        Self::with(&format!(
            "upstreams:\n  api: {{ endpoints: [\"{service}\"], outlier: off }}\nroutes:\n\
             \x20 - {{ name: all, match: \"/**\", to: api }}\n\
             \x20 - {{ name: news, match: /news, to: api, cache: true }}\n\
             \x20 - {{ name: pay, match: /pay, to: api, idempotency: true }}\n\
             \x20 - {{ name: few, match: /limited, to: api,\n\
             \x20     rate_limit: {{ key: client_ip, rate: 50/s, burst: 20 }} }}\n"
        ))
    }

    /// With these upstreams and routes.
    fn with(rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (target, admin) = (vacant(), vacant());
        let yaml = format!(
            "listeners: [\"{target}\"]\nadmin: {{ bind: \"{admin}\" }}\nlog: {{ access: off }}\n{rest}"
        );
        let file = folder.path().join("weir.yaml");
        std::fs::write(&file, yaml).unwrap();
        let mut child = Command::new(weir())
            .args(["run", "-c"])
            .arg(&file)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("weir is listening") {
            assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
        }
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let (target, admin) = (format!("http://{target}"), format!("http://{admin}"));
        Self { child, folder, target, admin }
    }

    /// The exit code of a scenario, and what it printed.
    fn ask(&self, name: &str, target: &str, settings: &[&str]) -> (Option<i32>, String) {
        let summary = self.folder.path().join(format!("{name}.json"));
        let output = Command::new(env!("CARGO_BIN_EXE_weir-load"))
            .args(["scenario", name, "--quiet", "--target", target, "--admin", &self.admin])
            .arg("--summary-export")
            .arg(&summary)
            .args(settings.iter().flat_map(|setting| ["-e", setting]))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below the range the kernel takes for outgoing connections.
fn vacant() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() * 64 % 21_000).unwrap();
    let ports = (0..2_000).map(|_| 10_500 + (base + NEXT.fetch_add(1, Relaxed)) % 21_500);
    let mut places = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    places.find(|place| TcpListener::bind(place).is_ok()).unwrap()
}

#[test]
fn they_pass_where_a_gateway_does_its_work_and_fail_where_none_is() {
    let service = service();
    let gateway = Gateway::start(service);
    let without = format!("http://{service}");
    let limit = ["RATE=50", "BURST=20", "DURATION=2"];
    let scenarios: [(&str, &[&str]); 3] = [
        ("cache", &["DURATION=1", "VUS=20", "KEYS=50"]),
        ("idempotency", &["ITERATIONS=30", "VUS=4"]),
        ("ratelimit-exactness", &limit),
    ];
    for (name, settings) in scenarios {
        let (code, text) = gateway.ask(name, &gateway.target, settings);
        assert_eq!(code, Some(0), "{name}: {text}");
        let (code, text) = gateway.ask(name, &without, settings);
        assert_eq!(code, Some(99), "{name} without a gateway: {text}");
    }
    // A limit is not what it was said to be.
    let (code, text) =
        gateway.ask("ratelimit-exactness", &gateway.target, &["RATE=30", "DURATION=2"]);
    assert_eq!(code, Some(99), "{text}");
}

#[test]
fn reloads_and_retries_are_judged() {
    let gateway = Gateway::start(service());
    let (code, text) = gateway.ask("reload", &gateway.target, &["RATE=50", "DURATION=2"]);
    assert_eq!(code, Some(0), "{text}");
    let few = ["RATE=50", "DURATION=3", "WINDOW=0"];
    let (code, text) = gateway.ask("retry-storm", &gateway.target, &["RATE=50", "DURATION=3"]);
    assert_eq!(code, Some(0), "{text}");
    // The budget allows more than nothing.
    let stricter = [&few[..], &["BUDGET=0", "RESERVE=0"]].concat();
    let (code, text) = gateway.ask("retry-storm", &gateway.target, &stricter);
    assert_eq!(code, Some(99), "{text}");
    let (code, text) = gateway.ask("failover", &gateway.target, &["RATE=50", "DURATION=2"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) =
        gateway.ask("failover", &gateway.target, &["PATH_PLAIN=/fail", "DURATION=1"]);
    assert_eq!(code, Some(99), "{text}");
}

#[test]
fn breakers_are_judged() {
    let service = service();
    let gateway = Gateway::with(&format!(
        "upstreams:\n  api: {{ endpoints: [\"{service}\"], outlier: off,\n\
         \x20   breaker: {{ min_requests: 10, window: 2s, open: 1s, probes: 2 }} }}\n\
         routes: [{{ match: \"/**\", to: api, retry: off }}]\n"
    ));
    let settings = ["RATE=50", "DURATION=3", "OPEN=1", "PROBES=2", "MIN_REQUESTS=10", "RECOVERY=3"];
    let (code, text) = gateway.ask("breaker", &gateway.target, &settings);
    assert_eq!(code, Some(0), "{text}");
    // What it should spare a service is more than it does.
    let stricter = [&settings[..], &["MIN_REQUESTS=0", "SLACK=-10"]].concat();
    let (code, text) = gateway.ask("breaker", &gateway.target, &stricter);
    assert_eq!(code, Some(99), "{text}");
}

#[test]
fn keys_that_move_are_judged() {
    let ended: [Arc<AtomicBool>; 3] = Default::default();
    let [a, b, c] = [0, 1, 2].map(|at| named_service(["a", "b", "c"][at], &ended[at]));
    let gateway = Gateway::with(&format!(
        "upstreams:\n  keyed: {{ endpoints: [\"{a}\", \"{b}\", \"{c}\"],\n\
         \x20   balance: {{ rendezvous: {{ key: \"query:key\" }} }} }}\n\
         \x20 mixed: {{ endpoints: [\"{a}\", \"{b}\"] }}\n\
         routes:\n  - {{ match: \"/keys/**\", to: keyed }}\n  - {{ match: \"/**\", to: mixed }}\n"
    ));
    let down = Arc::clone(&ended[2]);
    let stop = thread::spawn(move || {
        thread::sleep(Duration::from_secs(2));
        down.store(true, Relaxed);
    });
    let settings = ["PATH_HASHED=/keys/x", "KEYS=60", "DURATION=5"];
    let (code, text) = gateway.ask("hash-churn", &gateway.target, &settings);
    stop.join().unwrap();
    assert_eq!(code, Some(0), "{text}");
    let settings = ["PATH_HASHED=/any", "KEYS=30", "DURATION=2"];
    let (code, text) = gateway.ask("hash-churn", &gateway.target, &settings);
    assert_eq!(code, Some(99), "{text}");
}

#[test]
fn slow_clients_are_judged() {
    let service = service();
    let with = |header_read: &str| {
        Gateway::with(&format!(
            "timeouts: {{ header_read: {header_read} }}\n\
             upstreams:\n  api: {{ endpoints: [\"{service}\"], outlier: off }}\n\
             routes: [{{ match: \"/**\", to: api }}]\n"
        ))
    };
    // Times are not judged here: the machine may have other things to do.
    let settings = [
        "CLIENTS=10",
        "RATE=20",
        "BASELINE=1",
        "DURATION=8",
        "PAUSE=0.1",
        "HEADER_TIMEOUT=1",
        "SLACK=5",
        "P99=9000",
        "PATH_LARGE=/large",
    ];
    let gateway = with("1s");
    let (code, text) = gateway.ask("slow-clients", &gateway.target, &settings);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("✓ slow heads end within 6.0s"), "{text}");
    assert!(text.contains("✓ all good requests are answered: 0 failed of 160"), "{text}");
    assert!(text.contains("✓ memory grew by"), "{text}");
    let summary = std::fs::read(gateway.folder.path().join("slow-clients.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["slow"]["heads"]["told_408"].as_u64().unwrap() >= 10, "{summary}");
    assert!(summary["slow"]["readers"]["connections"].as_u64().unwrap() >= 10, "{summary}");
    // Who lets a head take a day is found out.
    let patient = with("24h");
    let (code, text) = patient.ask("slow-clients", &patient.target, &settings);
    assert_eq!(code, Some(99), "{text}");
    assert!(text.contains("✗ slow heads end within 6.0s: 0 closed"), "{text}");
    let (code, text) = gateway.ask("slow-clients", &gateway.target, &["DURATION=10"]);
    assert!(code == Some(104) && text.contains("DURATION must be above"), "{text}");
}

#[test]
fn what_there_is_is_listed() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-load"));
        let output = command.arg("scenario").args(words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, text) = run(&[]);
    assert!(code == Some(0) && text.contains("retry-storm") && text.contains("cache"), "{text}");
    let (code, text) = run(&["cache", "--about"]);
    assert!(code == Some(0) && text.contains("KEYS") && text.contains("200"), "{text}");
    let (code, text) = run(&["chaos"]);
    assert!(code == Some(104) && text.contains("there is no scenario `chaos`"), "{text}");
    let (code, text) = run(&["cache", "-e", "KEY=2"]);
    assert!(code == Some(104) && text.contains("`KEY=2` sets nothing"), "{text}");
}
