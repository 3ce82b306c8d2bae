//! Spans: which requests have one, what it says, and its way to a collector.
//!
//! A request without a `traceparent` begins a trace by chance, one with it follows what that says
//! (W3C Trace Context, section 2.2.5). What has no span costs a comparison, and what its client
//! sent is passed on as it is.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderValue};
use weir_config::model::Tracing;

use crate::http::headers::name;

pub(crate) mod context;
pub(crate) mod export;
mod otlp;
mod span;

use context::Context;
pub(crate) use span::{Span, describe};

/// Spans that wait for the collector; more are dropped, and counted.
const SPANS_MOST: usize = 8_192;

/// The place of a request in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The trace; never 0.
    pub(crate) trace: u128,
    /// The gateway's span in it; never 0.
    pub(crate) span: u64,
    /// The client's; 0 where the trace begins here.
    pub(crate) parent: u64,
}

impl Place {
    /// Where this request's span is, if it has one.
    pub(crate) fn of(
        tracing: &Tracing,
        headers: &HeaderMap,
        rng: &mut fastrand::Rng,
    ) -> Option<Self> {
        let mut lines = headers.get_all(&name::TRACEPARENT).iter();
        let context = match (lines.next(), lines.next()) {
            (Some(line), None) => Context::parse(line.as_bytes()),
            _ => None,
        };
        let span = rng.u64(1..);
        match context {
            Some(context) if !context.sampled => None,
            Some(context) => Some(Self { trace: context.trace, span, parent: context.parent }),
            None if rng.f64() >= tracing.sample => None,
            None => Some(Self { trace: rng.u128(1..), span, parent: 0 }),
        }
    }

    /// What the upstream is told: its span is a child of the gateway's.
    pub(crate) fn to_value(self) -> HeaderValue {
        let Self { trace, span, .. } = self;
        let text = format!("00-{trace:032x}-{span:016x}-01");
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Spans on their way to the collector, and what became of those before.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    waiting: Mutex<Vec<Span>>,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Spans {
    /// Queues a span, if there is room.
    pub(crate) fn push(&self, span: Span) {
        let mut waiting = self.lock();
        if waiting.len() < SPANS_MOST {
            waiting.push(span);
        } else {
            drop(waiting);
            self.count_dropped(1);
        }
    }

    fn take(&self) -> Vec<Span> {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_sent(&self, spans: usize) {
        self.sent.fetch_add(spans as u64, Ordering::Relaxed);
    }

    fn count_dropped(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Spans that the collector has taken, and those it never saw.
    pub(crate) fn totals(&self) -> [u64; 2] {
        [&self.sent, &self.dropped].map(|count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_config::model::{Address, At, Collector};

    use super::*;

    fn tracing(sample: f64) -> Tracing {
        let address = Address::Name("otel".to_owned(), 4318);
        let otlp = Collector { tls: false, address, path: "/v1/traces".to_owned() };
        let (service, timeout) = ("weir".to_owned(), Duration::from_secs(1));
        Tracing { at: At::default(), otlp, sample, service, headers: Vec::new(), timeout }
    }

    fn place(sample: f64, lines: &[&str]) -> Option<Place> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name::TRACEPARENT, HeaderValue::try_from(*line).unwrap());
        }
        Place::of(&tracing(sample), &headers, &mut fastrand::Rng::with_seed(7))
    }

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[test]
    fn a_client_that_has_a_trace_decides() {
        let place = place(0.0, &[SAMPLED]).unwrap();
        assert_eq!(place.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(place.parent, 0xb7ad_6b71_6920_3331);
        assert_ne!(place.span, place.parent);
        assert_eq!(self::place(1.0, &[UNSAMPLED]), None);
        let told = place.to_value();
        let told = told.to_str().unwrap();
        assert!(told.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && told.ends_with("-01"));
        assert_eq!(told.len(), SAMPLED.len());
    }

    #[test]
    fn without_one_chance_decides() {
        assert_eq!(place(0.0, &[]), None);
        assert_eq!(place(1.0, &[]).unwrap().parent, 0);
        assert_eq!(place(0.0, &["nonsense"]), None);
        assert_eq!(place(0.0, &[SAMPLED, SAMPLED]), None, "two are none");
        let mut rng = fastrand::Rng::with_seed(7);
        let tracing = tracing(0.1);
        let begun =
            (0..10_000).filter(|_| Place::of(&tracing, &HeaderMap::new(), &mut rng).is_some());
        assert!((900..1_100).contains(&begun.count()));
    }

    #[test]
    fn what_waits_is_bounded() {
        let spans = Spans::default();
        for _ in 0..SPANS_MOST + 3 {
            spans.push(Span::default());
        }
        assert_eq!(spans.totals(), [0, 3]);
        assert_eq!(spans.take().len(), SPANS_MOST);
    }
}
