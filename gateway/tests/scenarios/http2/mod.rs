//! HTTP/2 from clients: what is malformed, what is downgraded, and floods that may hurt nobody.

mod attacks;
mod bombs;
mod connection_errors;
mod downgrade;
mod malformed;

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    frames::{Frames, Outcome},
    gateway::{Gateway, Setup},
    origin::{Next, Origin},
};

/// How long another client may wait while an attack runs; the bar is 250 ms, of an optimised
/// binary with a core of its own.
const LATENCY_MAX: Duration = Duration::from_millis(1500);

/// How much the gateway's memory may grow under an attack.
const GROWTH_MAX: u64 = 32 << 20;

/// A gateway before an HTTP/1.1 origin.
struct Bench {
    origin: Origin,
    gateway: Gateway,
    fresh: u32,
}

impl Bench {
    fn new() -> Self {
        let origin = Origin::start(|x| {
            match x.target() {
                "/slow" => thread::sleep(Duration::from_millis(200)),
                "/big" => return x.reply(200, "", &"b".repeat(1 << 20)),
                "/stall" => return Ok(if x.closed() { Next::Close } else { Next::Keep }),
                _ => {}
            }
            x.echo()
        });
        let gateway = Setup::to(&[origin.address]).start();
        let mut bench = Self { origin, gateway, fresh: 0 };
        bench.after("warm-up").unwrap();
        bench
    }

    /// The next fresh requests over h2 and h1 get their own answers.
    fn after(&mut self, name: &str) -> Result<(), String> {
        self.fresh += 1;
        let target = format!("/after/{}", self.fresh);
        let expected = format!("GET {target} 0");
        let outcome = Frames::connect(self.gateway.listen).get(1, &target);
        if outcome.status() != 200 || outcome.text() != expected {
            return Err(format!("{name}: then {outcome:?}"));
        }
        match self.gateway.client().get(&target) {
            Ok(answer) if answer.text() == expected => {}
            other => return Err(format!("{name}: then over h1 {other:?}")),
        }
        let faults = self.origin.faults();
        if faults.is_empty() { Ok(()) } else { Err(format!("{name}: origin saw {faults:?}")) }
    }

    /// Whole requests at the origin below `/x`.
    fn arrived(&self) -> usize {
        self.origin.seen_at("/x").iter().filter(|s| s.complete).count()
    }

    /// Runs an attack beside an ordinary client and judges what it cost that client and memory.
    fn attack(&mut self, name: &str, attack: impl FnOnce(SocketAddr) + Send + 'static) {
        let address = self.gateway.listen;
        let before = self.gateway.resident();
        let attacker = thread::spawn(move || attack(address));
        let (mut worst, mut longest, mut most) = (Duration::ZERO, Duration::ZERO, before);
        let mut ordinary = self.gateway.client();
        let mut last = false;
        loop {
            let (start, worked) = (Instant::now(), self.gateway.worked());
            let answer = ordinary.get("/ordinary").expect(name);
            assert_eq!(answer.text(), "GET /ordinary 0", "{name}");
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
        assert!(growth < GROWTH_MAX, "{name}: memory grew by {} KiB", growth >> 10);
        assert!(worst < LATENCY_MAX, "{name}: another client waited {worst:?}");
        assert!(longest < 5 * LATENCY_MAX, "{name}: another client waited {longest:?}");
    }
}

/// Whether this outcome is a refusal: a 4xx, a reset, or the end of the connection.
fn is_refusal(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Response { status, .. } => (400..500).contains(status) || *status == 501,
        Outcome::Reset(_) | Outcome::Goaway(_) | Outcome::Closed => true,
        Outcome::Silence => false,
    }
}
