//! HTTP/3 from clients that say what no library would: frames, streams and field sections byte by
//! byte, floods, and what must not be taken for a whole message.
//!
//! Each suite is a table: a name, bytes, what the gateway must do. After each row a fresh request
//! gets its own answer, on the same connection where it must survive, and the origin saw nothing
//! that two parsers could read in two ways.

mod bodies;
mod cancellation;
mod client_itself;
mod control;
mod datagrams;
mod field_limits;
mod fields;
mod floods;
mod forwarding;
mod handshakes;
mod qpack;
mod request_frames;
mod slow;
mod tunnels;
mod uni_streams;

use std::{
    cell::Cell,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    certificates::Authority,
    gateway::{Gateway, Setup},
    h3_outcome::Outcome,
    h3_raw::{Raw, Tuning},
    h3_wire::{code, headers, request},
    origin::{Exchange, Next, Origin},
};

/// How long another client may wait while an attack runs; the bar is 250 ms, of an optimised
/// binary with a core of its own.
const LATENCY_MAX: Duration = Duration::from_millis(1500);
/// How much the gateway's memory may grow under an attack.
const GROWTH_MAX: u64 = 32 << 20;
/// How long the gateway may take for an answer that needs nothing but itself.
const AT_ONCE: Duration = Duration::from_secs(3);
/// Time-outs of a second, for what must end by them.
const SHORT: &str = "handshake: 1s, header_read: 1s, body_idle: 1s, keep_alive: 2s";

/// What the gateway must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Close the connection with this code.
    Close(u64),
    /// Reset the stream with this code; the connection lives.
    Reset(u64),
    /// Answer with this status; the connection lives.
    Status(u16),
}

/// A malformed message (RFC 9114 4.1.2).
const MALFORMED: Expect = Expect::Reset(code::MESSAGE_ERROR);
/// The same found out behind its head, which a server may answer before it closes the stream.
const SPOILED: Expect = Expect::Status(400);

impl Expect {
    fn is(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Close(code), Outcome::Closed(seen)) => code == *seen,
            (Self::Reset(code), Outcome::Reset(seen, before)) => {
                code == *seen && before.status == 0
            }
            (Self::Status(status), Outcome::Response(response)) => status == response.status,
            _ => false,
        }
    }

    /// Whether it says that the connection ends.
    const fn closes(self) -> bool {
        matches!(self, Self::Close(_))
    }
}

/// A gateway with HTTP/3 before an HTTP/1.1 origin that echoes.
struct Stage {
    origin: Origin,
    gateway: Gateway,
    tuning: Tuning,
    fresh: Cell<u32>,
}

impl Stage {
    fn new() -> Self {
        Self::with(|setup| setup)
    }

    /// With time-outs of a second.
    fn short() -> Self {
        Self::with(|setup| setup.timeouts(SHORT))
    }

    fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::of(Origin::start(play), change)
    }

    fn of(origin: Origin, change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::of_listener(origin, "protocols: [h1, h2, h3]", change)
    }

    fn of_listener(origin: Origin, keys: &str, change: impl FnOnce(Setup) -> Setup) -> Self {
        let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
        authority.issue(&["edge.test"]).write(dir.path(), "edge");
        let setup = Setup::to(&[origin.address])
            .listener(&format!("tls: {{ cert: $DIR/edge.pem, key: $DIR/edge.key }}, {keys}"))
            .within(dir);
        let mut gateway = change(setup).start();
        gateway.farewell = Signal::INT;
        let tls = authority.client_x25519(&[b"h3"]);
        let tuning = Tuning { stream_window: 1 << 20, window: 8 << 20, tls };
        let stage = Self { origin, gateway, tuning, fresh: Cell::new(0) };
        stage.after("warm-up").unwrap();
        stage
    }

    /// A client that has said SETTINGS.
    fn client(&self) -> Raw {
        self.bare().greet()
    }

    /// A client that has opened no stream.
    fn bare(&self) -> Raw {
        Raw::try_connect(self.gateway.listen, &self.tuning).unwrap()
    }

    /// A client that lets the gateway send so many bytes, on one stream and in all.
    fn narrow(&self, stream_window: u32, window: u32) -> Raw {
        let tuning = Tuning { stream_window, window, tls: Arc::clone(&self.tuning.tls) };
        Raw::try_connect(self.gateway.listen, &tuning).unwrap().greet()
    }

    /// The next fresh request of this client gets its own answer.
    fn survives(&self, name: &str, client: &Raw) -> Result<(), String> {
        self.fresh.set(self.fresh.get() + 1);
        let target = format!("/after/{}", self.fresh.get());
        let outcome = client.get(&target);
        if outcome.status() != 200 || outcome.text() != format!("GET {target} 0") {
            return Err(format!("{name}: then {outcome:?}"));
        }
        let faults = self.origin.faults();
        if faults.is_empty() { Ok(()) } else { Err(format!("{name}: origin saw {faults:?}")) }
    }

    /// The same of a new client.
    fn after(&self, name: &str) -> Result<(), String> {
        let client = Raw::try_connect(self.gateway.listen, &self.tuning)
            .map_err(|why| format!("{name}: then {why}"))?;
        self.survives(name, &client.greet())
    }

    /// Sends what a row says on a request stream of its own and judges what comes.
    fn judge(&self, name: &str, bytes: &[u8], expect: Expect) -> Vec<String> {
        let (client, before) = (self.client(), self.whole());
        let outcome = match client.try_bi() {
            Ok(mut stream) => {
                stream.write(bytes).finish();
                if expect.closes() { ending(&client) } else { stream.outcome_within(AT_ONCE) }
            }
            Err(outcome) => outcome,
        };
        self.verdict(name, expect, &outcome, &client, before)
    }

    /// Compares, and asks what must still work.
    fn verdict(
        &self,
        name: &str,
        expect: Expect,
        outcome: &Outcome,
        client: &Raw,
        before: usize,
    ) -> Vec<String> {
        let mut failures = Vec::new();
        if !expect.is(outcome) {
            failures.push(format!("{name}: {outcome:?}, not {expect:x?}"));
        }
        let answered = matches!(outcome, Outcome::Response(r) if r.status == 200);
        if !answered && !expect.closes() && self.whole() != before {
            failures.push(format!("{name}: a whole request reached the origin"));
        }
        if !matches!(outcome, Outcome::Closed(_) | Outcome::Lost(_)) && !expect.closes() {
            failures.extend(self.survives(name, client).err());
        } else {
            failures.extend(self.after(name).err());
        }
        failures
    }

    /// Whole requests at the origin below `/x`.
    fn whole(&self) -> usize {
        self.origin.seen_at("/x").iter().filter(|s| s.complete).count()
    }

    /// Runs an attack beside an ordinary client and judges what it cost that client and memory.
    fn attack(&self, name: &str, attack: impl FnOnce(SocketAddr, Tuning) + Send + 'static) {
        let address = self.gateway.listen;
        let tuning = Tuning { tls: Arc::clone(&self.tuning.tls), ..self.tuning };
        let before = self.gateway.resident();
        let ordinary = self.client();
        let attacker = thread::spawn(move || attack(address, tuning));
        let (mut worst, mut longest, mut most) = (Duration::ZERO, Duration::ZERO, before);
        let mut last = false;
        loop {
            let (start, worked) = (Instant::now(), self.gateway.worked());
            let answer = ordinary.get("/ordinary");
            assert_eq!(answer.text(), "GET /ordinary 0", "{name}: {answer:?}");
            let took = start.elapsed();
            longest = longest.max(took);
            // Of what it waited, the gateway answers for no more than it worked meanwhile.
            worst = worst.max(took.min(self.gateway.worked() - worked));
            most = most.max(self.gateway.resident());
            if last {
                break;
            }
            last = attacker.is_finished();
            thread::sleep(Duration::from_millis(2));
        }
        attacker.join().unwrap();
        self.after(name).unwrap();
        let growth = most - before;
        println!("{name}: another client waited {worst:?}, memory grew by {} KiB", growth >> 10);
        assert!(growth < GROWTH_MAX, "{name}: memory grew by {} KiB", growth >> 10);
        assert!(worst < LATENCY_MAX, "{name}: another client waited {worst:?}");
        assert!(longest < 5 * LATENCY_MAX, "{name}: another client waited {longest:?}");
    }
}

/// What the origin does.
fn play(x: &mut Exchange) -> std::io::Result<Next> {
    match x.target() {
        t if t.starts_with("/x/slow") => thread::sleep(Duration::from_millis(200)),
        "/big" => return x.reply(200, "", &"b".repeat(1 << 20)),
        "/stall" => return Ok(if x.closed() { Next::Close } else { Next::Keep }),
        _ => {}
    }
    x.echo()
}

/// How the connection ended, when it did at once.
fn ending(client: &Raw) -> Outcome {
    client.end(AT_ONCE).unwrap_or_else(|| Outcome::Lost("not at all: still open".to_owned()))
}

/// A row of a table about one request stream, which ends with FIN.
type Row = (&'static str, Vec<u8>, Expect);

/// Runs a table.
fn run_rows(rows: Vec<Row>) {
    let stage = Stage::new();
    let mut failures = Vec::new();
    for (name, bytes, expect) in rows {
        failures.extend(stage.judge(name, &bytes, expect));
    }
    crate::support::assert_none(&failures);
}

/// A HEADERS frame: GET of `/x`.
fn get() -> Vec<u8> {
    headers(&request("GET", "/x"))
}

/// A HEADERS frame: POST to `/x`.
fn post() -> Vec<u8> {
    headers(&request("POST", "/x"))
}
