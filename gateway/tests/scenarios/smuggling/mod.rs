//! HTTP/1: what is refused, what is normalised, and that no byte changes owner on the way.
//!
//! Each case runs against one gateway before a strict recording origin. Whatever the case did, the
//! next fresh request must get its own answer and the origin must have seen nothing ambiguous.

mod body_limits;
mod chunks;
mod connections;
mod fields;
mod forwarded;
mod framing;
mod hop_by_hop;
mod hosts;
mod request_lines;
mod response_framing;
mod responses;

use std::time::Duration;

use crate::support::{
    answer::{Answer, End},
    client::get,
    gateway::{Gateway, Setup},
    origin::{Exchange, Next, Origin},
};

/// What must become of a case.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// One of these statuses, nothing at the origin; 0 allows a close without a word.
    Refused(&'static [u16]),
    /// The same, and the connection must not go on.
    RefusedAndClosed(&'static [u16]),
    /// 200, seen once at the origin.
    Passed,
    /// Refused, or passed on in a form without ambiguity.
    Either,
}

const BAD: &[u16] = &[400];

/// A gateway before an origin that echoes.
struct Bench {
    origin: Origin,
    gateway: Gateway,
    fresh: usize,
}

impl Bench {
    fn new() -> Self {
        Self::with(|to| to)
    }

    fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::before(Origin::start(scripted), change)
    }

    fn before(origin: Origin, change: impl FnOnce(Setup) -> Setup) -> Self {
        let gateway = change(Setup::to(&[origin.address])).start();
        Self { origin, gateway, fresh: 0 }
    }

    /// Runs one case; its requests have targets that begin with `/x`.
    fn case(&mut self, name: &str, bytes: &[u8], want: Want) -> Result<(), String> {
        let before = self.origin.seen_at("/x").len();
        let mut client = self.gateway.client();
        client.send(bytes);
        let method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
        let status = match client.answer(method) {
            Ok(answer) => answer.status,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(format!("{name}: no answer"));
            }
            Err(_) => 0,
        };
        let arrived = self.origin.seen_at("/x").len() - before;
        let fits = match want {
            Want::Refused(statuses) | Want::RefusedAndClosed(statuses) => {
                arrived == 0 && statuses.contains(&status)
            }
            Want::Passed => arrived == 1 && status == 200,
            Want::Either => (arrived == 1) == (status == 200) && (status < 500 || status == 501),
        };
        if !fits {
            return Err(format!("{name}: status {status}, {arrived} at the origin, want {want:?}"));
        }
        if matches!(want, Want::RefusedAndClosed(_))
            && !client.closes_within(Duration::from_secs(3))
        {
            return Err(format!("{name}: the connection stays open or says more"));
        }
        self.after(name)
    }

    /// The next fresh request gets its own answer, and nothing surplus arrived.
    fn after(&mut self, name: &str) -> Result<(), String> {
        self.fresh += 1;
        let target = format!("/after/{}", self.fresh);
        match self.gateway.client().get(&target) {
            Ok(a) if a.status == 200 && a.text() == format!("GET {target} 0") => {}
            other => return Err(format!("{name}: then {target} got {other:?}")),
        }
        if !self.origin.seen_at("/smuggled").is_empty() {
            return Err(format!("{name}: the smuggled request arrived"));
        }
        let faults = self.origin.faults();
        if faults.is_empty() { Ok(()) } else { Err(format!("{name}: origin saw {faults:?}")) }
    }

    /// Runs a table.
    fn table(&mut self, cases: &[(&str, Vec<u8>, Want)]) {
        let run = |(name, bytes, want): &(&str, Vec<u8>, Want)| self.case(name, bytes, *want);
        let failures: Vec<String> = cases.iter().map(run).filter_map(Result::err).collect();
        crate::support::assert_none(&failures);
    }

    /// Sends bytes on a new connection and reads one answer.
    fn exchange(&self, bytes: &str) -> Answer {
        let mut client = self.gateway.client();
        client.send(bytes.as_bytes());
        client.answer("GET").unwrap()
    }
}

/// The origin of most cases.
fn scripted(exchange: &mut Exchange) -> std::io::Result<Next> {
    exchange.echo()
}

/// A GET of `/x` with these field lines after Host.
fn with_fields(lines: &str) -> Vec<u8> {
    format!("GET /x HTTP/1.1\r\nHost: weir.test\r\n{lines}\r\n").into_bytes()
}

/// A POST of `/x` with these field lines and this body.
fn with_body(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /x HTTP/1.1\r\nHost: weir.test\r\n{lines}\r\n{body}").into_bytes()
}

/// A whole request that must never arrive.
fn smuggled() -> String {
    get("/smuggled")
}

/// Whether a response's body looks cut to its reader.
fn looks_cut(answer: &Answer) -> bool {
    answer.end == End::Truncated
}
