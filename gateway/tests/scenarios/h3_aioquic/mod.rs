//! HTTP/3 with a client that shares no code with the gateway: aioquic, driven over pipes.

mod cancellation;
mod drain;
mod early_data;
mod handshakes;
mod messages;
mod migration;
mod upstream;
mod websocket;

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    certificates::Authority,
    eventually,
    gateway::{Gateway, Setup},
};

/// The listener's keys: every protocol, over TLS.
const EVERY_PROTOCOL: &str =
    "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]";

/// A gateway on this origin that speaks HTTP/3.
fn edge(origin: SocketAddr) -> Gateway {
    edge_of(Setup::to(&[origin]).listener(EVERY_PROTOCOL))
}

/// A gateway of this setup, with a certificate for `weir.test` beside its configuration.
fn edge_of(setup: Setup) -> Gateway {
    setup.within(identity(&Authority::new())).start()
}

/// A directory with `ca.pem`, and `edge.pem` and `edge.key` for `weir.test`.
fn identity(authority: &Authority) -> TempDir {
    let dir = TempDir::new().unwrap();
    authority.write(&dir.path().join("ca.pem"));
    authority.issue(&["weir.test"]).write(dir.path(), "edge");
    dir
}

/// Bytes that show damage: 0, 1, ... 250, 0, 1, ... as the client makes and checks them.
fn pattern(size: usize) -> Vec<u8> {
    (0..251).cycle().take(size).collect()
}

/// Runs one of our scripts, with aioquic at hand.
///
/// `None`, said on stdout, where aioquic is not installed and the environment allows that.
fn python(script: &str) -> Option<Command> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python");
    let python = home.join("bin/python3");
    if !python.is_file() {
        let why = format!(
            "{} is missing: `cargo xtask test` installs it; WEIR_TEST_WITHOUT_AIOQUIC=1 skips this",
            python.display()
        );
        assert!(std::env::var_os("WEIR_TEST_WITHOUT_AIOQUIC").is_some(), "{why}");
        println!("skipped: {why}");
        return None;
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/h3_aioquic");
    let mut command = Command::new(python);
    command.arg(scripts.join(script));
    Some(command)
}

/// The client's process; `client.py` says what each command does.
struct Aioquic {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Aioquic {
    /// Starts it without a connection; `None` as of [`python`].
    fn start() -> Option<Self> {
        let mut command = python("client.py")?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, input, output })
    }

    /// Starts it with a connection to this gateway.
    fn connect(gateway: &Gateway) -> Option<Self> {
        let mut client = Self::start()?;
        let state = client.open(gateway, json!({}));
        assert_eq!(state["established"], true, "{state}");
        assert_eq!(state["alpn"], "h3");
        Some(client)
    }

    /// Opens one more connection, which later commands speak of.
    fn open(&mut self, gateway: &Gateway, with: Value) -> Value {
        let ca: PathBuf = gateway.dir().join("ca.pem");
        let to = json!({
            "host": gateway.listen.ip().to_string(), "port": gateway.listen.port(), "ca": ca,
        });
        self.run("open", merged(to, with))
    }

    /// Runs one command, which must not fail.
    fn run(&mut self, command: &str, with: Value) -> Value {
        let line = merged(json!({ "do": command }), with).to_string();
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let mut text = String::new();
        self.output.read_line(&mut text).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(answer["error"].is_null(), "{line}: {answer}");
        answer
    }

    /// Starts a request and gives its stream.
    fn send(&mut self, request: Value) -> u64 {
        self.run("send", request)["stream"].as_u64().unwrap()
    }

    /// The whole answer to a request.
    fn fetch(&mut self, request: Value) -> Value {
        let stream = self.send(request);
        self.answer(stream)
    }

    /// Waits for the end of a stream's answer.
    fn answer(&mut self, stream: u64) -> Value {
        self.run("answer", json!({ "stream": stream }))
    }

    /// Asserts that the connection still serves.
    fn assert_serves(&mut self, path: &str) {
        let answer = self.fetch(json!({ "path": path }));
        assert_eq!(answer["status"], 200, "{path}: {answer}");
        assert_eq!(answer["ended"], true, "{path}: {answer}");
    }

    /// Takes back what was sent and refuses what is to come, as a browser does.
    fn cancel(&mut self, stream: u64) {
        self.run("cancel", json!({ "stream": stream, "code": REQUEST_CANCELLED }));
    }
}

impl Drop for Aioquic {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// H3_NO_ERROR (RFC 9114 8.1).
const NO_ERROR: u64 = 0x100;
/// H3_REQUEST_CANCELLED (RFC 9114 8.1).
const REQUEST_CANCELLED: u64 = 0x10c;

fn merged(mut one: Value, other: Value) -> Value {
    let (Value::Object(into), Value::Object(from)) = (&mut one, other) else {
        panic!("commands are objects")
    };
    into.extend(from);
    one
}

/// The sum of a metric's series.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.admin("GET", "/metrics").text();
    let series = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Asserts that nothing is under way any more, and nobody is connected.
fn assert_idle(gateway: &Gateway) {
    for name in ["weir_endpoint_in_flight_requests", "weir_connections_open"] {
        let left = || metric(gateway, name);
        assert!(eventually(|| left() == 0.0), "{name} is {}", left());
    }
}

/// First value of a field of an answer.
fn field<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    let fields = answer["headers"].as_array()?;
    fields.iter().find(|field| field[0] == name).and_then(|field| field[1].as_str())
}
