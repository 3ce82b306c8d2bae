//! What counting a request costs: `cargo bench -p weir-load --bench recorder`.
//!
//! Nine values that share their tags, as k6 keeps them of each request, 3,000 requests between two
//! looks of the collector. Times are of the thread's own processor time, the best of several
//! rounds.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]

use std::{fs, sync::Arc, time::Duration};

use weir_load::metrics::{Recorder, Registry, Streaming, TagSet, Tags, Totals, builtin};

const ROUNDS: usize = 7;
const LOOKS: u32 = 1_000;
const REQUESTS: u32 = 3_000;

/// The tags of a request, as its own fields.
struct Request {
    expected: bool,
}

impl Tags for Request {
    fn value(&self, key: &str) -> Option<&str> {
        match key {
            "expected_response" => Some(if self.expected { "true" } else { "false" }),
            "status" => Some("200"),
            _ => None,
        }
    }

    fn to_set(&self) -> TagSet {
        TagSet::new([("expected_response", "true"), ("status", "200")])
    }
}

fn main() {
    let registry = Arc::new(Registry::new());
    let mut best = u64::MAX;
    for _ in 0..ROUNDS {
        let mut recorder = Recorder::new(Arc::clone(&registry), Streaming::Off);
        let mut totals = Totals::new(Arc::clone(&registry));
        let begin = processor_ns();
        for look in 0..LOOKS {
            for request in 0..REQUESTS {
                let ms = f64::from((request * 7919 + look) % 5000) / 1000.0;
                let values = [
                    (builtin::HTTP_REQS, 1.0),
                    (builtin::HTTP_REQ_DURATION, ms),
                    (builtin::HTTP_REQ_BLOCKED, 0.001),
                    (builtin::HTTP_REQ_CONNECTING, 0.0),
                    (builtin::HTTP_REQ_TLS_HANDSHAKING, 0.0),
                    (builtin::HTTP_REQ_SENDING, 0.01),
                    (builtin::HTTP_REQ_WAITING, ms * 0.9),
                    (builtin::HTTP_REQ_RECEIVING, ms * 0.1),
                    (builtin::HTTP_REQ_FAILED, 0.0),
                ];
                recorder.record_all(&values, &Request { expected: true }, Duration::ZERO);
            }
            totals.merge(&recorder.take());
        }
        // The kernel counts in ticks: only a whole round is long enough to be read.
        best = best.min(processor_ns() - begin);
    }
    let requests = u64::from(LOOKS * REQUESTS);
    println!("recording and merging: {} ns per request", best / requests);
}

/// Processor time of this thread so far.
fn processor_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
