//! From sums to text, through prometheus-client's encoder.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text},
    metrics::{MetricType, exemplar::Exemplar},
};

use super::{AllBlocks, Pair, Relaxed, Shared};
use crate::{
    admission::{Cause, PRIORITIES, priority_name},
    cache,
    clock::Tick,
    idempotency,
    limit::{shared::Counters, tally::Outcome},
    policy::{Faulted, Mirrored},
    script,
    telemetry::{
        counters::{DURATION_BOUNDS_NANOS, FALLBACKS, HEDGES, RETRIES, RouteTotals, STOPS},
        names::{self, Kind, Metric},
    },
    upstream::{
        breaker,
        retry::policy::Stop,
        roster::{EndpointReport, Report, State},
    },
};

mod auth;
mod found;
mod members;
mod spans;
mod web;

/// Status classes, in the order in which routes count them.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// How retries ended, and attempts beside others, likewise.
const OUTCOMES: [&str; 2] = ["success", "failure"];
const RACES: [&str; 2] = ["won", "lost"];
const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99)];

pub(super) fn render(shared: &Arc<Shared>, now: Tick) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Scrape { shared: Arc::clone(shared), now }));
    let mut out = String::with_capacity(16 * 1024);
    // Writing to a String fails only where an encoder does, and text has nothing it cannot say.
    if text::encode(&mut out, &registry).is_err() {
        shared.bugs.fetch_add(1, Relaxed);
    }
    out
}

#[derive(Debug)]
struct Scrape {
    shared: Arc<Shared>,
    now: Tick,
}

/// A value of one label set.
enum Sample {
    Count(u64),
    Level(i64),
    Measure(f64),
    Durations(Box<RouteTotals>),
}

impl Sample {
    const fn is_zero(&self) -> bool {
        matches!(self, Self::Count(0))
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut all = self.shared.lock();
        all.sweep();
        self.encode_routes(&mut encoder, &all)?;
        encode_cache(&mut encoder, &all)?;
        encode_records(&mut encoder, &all)?;
        encode_listeners(&mut encoder, &all)?;
        self.encode_loads(&mut encoder, &all)?;
        encode_connections(&mut encoder, &all)?;
        encode_rosters(&mut encoder, &all, self.now)?;
        found::encode(&mut encoder, &all)?;
        encode_gates(&mut encoder, &all)?;
        encode_admission(&mut encoder, &all)?;
        encode_limits(&mut encoder, &all)?;
        auth::encode(&mut encoder, &all)?;
        encode_redis(&mut encoder, &all)?;
        members::encode(&mut encoder, &all)?;
        spans::encode(&mut encoder, &all)?;
        drop(all);
        self.encode_process(&mut encoder)
    }
}

impl Scrape {
    fn encode_routes(&self, out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
        let routes: Vec<(&Pair, RouteTotals)> =
            all.routes.iter().map(|(key, blocks)| (key, blocks.totals())).collect();
        let each = |names: &'static [&'static str], of: fn(&RouteTotals) -> &[u64]| {
            let rows = routes.iter().flat_map(move |((route, upstream), totals)| {
                let row = move |(name, &count): (&&'static str, &u64)| {
                    ([&**route, upstream, *name], Sample::Count(count))
                };
                names.iter().zip(of(totals)).map(row)
            });
            // What never happened is left out: reasons are many, and most routes meet few.
            rows.filter(|(_, sample)| !sample.is_zero())
        };
        family(out, &names::REQUESTS, each(&CLASSES, |totals| &totals.classes))?;
        family(out, &names::ERRORS, each(self.shared.errors, |totals| &totals.errors))?;
        let of = |sample: fn(&RouteTotals) -> Sample| {
            routes
                .iter()
                .map(move |((route, upstream), totals)| ([&**route, &**upstream], sample(totals)))
        };
        family(out, &names::REQUEST_BYTES, of(|totals| Sample::Count(totals.request_bytes)))?;
        family(out, &names::RESPONSE_BYTES, of(|totals| Sample::Count(totals.response_bytes)))?;
        let durations = of(|totals| Sample::Durations(Box::new(totals.clone())));
        family(out, &names::REQUEST_DURATION, durations)?;
        family(out, &names::RETRIES, each(&OUTCOMES, |totals| &totals.tries[RETRIES]))?;
        family(out, &names::RETRY_STOPS, each(&Stop::NAMES, |totals| &totals.tries[STOPS]))?;
        family(out, &names::HEDGES, each(&RACES, |totals| &totals.tries[HEDGES]))?;
        let fallbacks = of(|totals| Sample::Count(totals.tries[FALLBACKS]));
        family(out, &names::FALLBACKS, fallbacks.filter(|(_, sample)| !sample.is_zero()))?;
        family(out, &names::CACHE_REQUESTS, each(&cache::Outcome::NAMES, |totals| &totals.cached))?;
        let refreshed = each(&cache::Refresh::NAMES, |totals| &totals.refreshed);
        family(out, &names::CACHE_REFRESHES, refreshed)?;
        let keyed = each(&idempotency::Outcome::NAMES, |totals| &totals.keyed);
        family(out, &names::IDEMPOTENCY, keyed)?;
        family(out, &names::MIRRORS, each(&Mirrored::NAMES, |totals| &totals.mirrored))?;
        family(out, &names::FAULTS, each(&Faulted::NAMES, |totals| &totals.faulted))?;
        family(out, &names::SCRIPTS, each(&script::Outcome::NAMES, |totals| &totals.scripted))?;
        web::encode(out, &routes)
    }

    fn encode_loads(&self, out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
        let loads: Vec<_> =
            all.loads.iter().filter_map(|(key, load)| Some((key, load.upgrade()?))).collect();
        let rows = || loads.iter().map(|((upstream, name), load)| ([&**upstream, &**name], load));
        let in_flight = rows().map(|(key, load)| (key, Sample::Level(load.in_flight().into())));
        family(out, &names::ENDPOINT_IN_FLIGHT, in_flight)?;
        let requests = rows().map(|(key, load)| (key, Sample::Count(load.requests())));
        family(out, &names::ENDPOINT_REQUESTS, requests)?;
        let failures = rows().map(|(key, load)| (key, Sample::Count(load.failures())));
        family(out, &names::ENDPOINT_FAILURES, failures)?;
        let estimates =
            rows().map(|(key, load)| (key, Sample::Measure(load.ewma_nanos(self.now) / 1e9)));
        family(out, &names::ENDPOINT_EWMA, estimates)?;
        let quantiles = rows().flat_map(|([upstream, endpoint], load)| {
            QUANTILES.iter().filter_map(move |&(label, q)| {
                let seconds = load.latency().quantile(q)?.as_secs_f64();
                Some(([upstream, endpoint, label], Sample::Measure(seconds)))
            })
        });
        family(out, &names::ENDPOINT_LATENCY, quantiles)
    }

    fn encode_process(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let shared = &self.shared;
        let reloads = [("success", &shared.reloads), ("failure", &shared.failed_reloads)]
            .map(|(outcome, count)| ([outcome], Sample::Count(count.load(Relaxed))));
        family(out, &names::CONFIG_RELOADS, reloads)?;
        let loaded = shared.loaded.load(Relaxed) as f64 / 1e3;
        family(out, &names::CONFIG_LOADED, [([], Sample::Measure(loaded))])?;
        family(out, &names::BUILD, [([shared.version], Sample::Level(1))])?;
        let started = Sample::Measure(shared.started.as_secs_f64());
        family(out, &names::PROCESS_START, [([], started)])?;
        let dropped = Sample::Count(shared.dropped_lines.load(Relaxed));
        family(out, &names::LOG_LINES_DROPPED, [([], dropped)])?;
        family(out, &names::BUGS, [([], Sample::Count(shared.bugs.load(Relaxed)))])
    }
}

fn encode_cache(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let cache = all.cache.upgrade();
    let store = cache.as_ref().map(|cache| &cache.store);
    let level = |number: u64| ([], Sample::Level(number.cast_signed()));
    family(out, &names::CACHE_ENTRIES, store.map(|store| level(store.len() as u64)))?;
    family(out, &names::CACHE_BYTES, store.map(|store| level(store.weight())))?;
    let evictions = store.map(|store| ([], Sample::Count(store.evictions())));
    family(out, &names::CACHE_EVICTIONS, evictions)
}

fn encode_records(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let count = all.records.upgrade().map(|records| records.memory.count());
    let level = |number: u64| ([], Sample::Level(number.cast_signed()));
    family(out, &names::IDEMPOTENCY_KEYS, count.map(|count| level(count.keys)))?;
    family(out, &names::IDEMPOTENCY_BYTES, count.map(|count| level(count.bytes)))
}

fn encode_listeners(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let listeners: Vec<_> =
        all.listeners.iter().map(|(key, blocks)| ([&**key], blocks.totals().0)).collect();
    let of = |i: usize| listeners.iter().map(move |(key, totals)| (*key, Sample::Count(totals[i])));
    let open = listeners.iter().map(|(key, totals)| (*key, Sample::Level(totals[1].cast_signed())));
    family(out, &names::CONNECTIONS_ACCEPTED, of(0))?;
    family(out, &names::CONNECTIONS_OPEN, open)?;
    family(out, &names::CONNECTIONS_REFUSED, of(2))?;
    family(out, &names::HANDSHAKE_FAILURES, of(3))?;
    family(out, &names::QUIC_RETRIES, of(4))?;
    family(out, &names::QUIC_STEERED, of(5))?;
    family(out, &names::QUIC_STEERED_DROPPED, of(6))
}

fn encode_connections(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let endpoints: Vec<_> = all
        .endpoints
        .iter()
        .map(|((upstream, endpoint), blocks)| ([&**upstream, &**endpoint], blocks.totals().0))
        .collect();
    let level = |i: usize| {
        endpoints.iter().map(move |(key, totals)| (*key, Sample::Level(totals[i].cast_signed())))
    };
    let count =
        |i: usize| endpoints.iter().map(move |(key, totals)| (*key, Sample::Count(totals[i])));
    family(out, &names::ENDPOINT_CONNECTIONS_OPEN, level(0))?;
    family(out, &names::ENDPOINT_CONNECTIONS_IDLE, level(1))?;
    family(out, &names::ENDPOINT_CONNECTS, count(2))?;
    family(out, &names::ENDPOINT_CONNECT_FAILURES, count(3))?;
    let attempts = endpoints.iter().flat_map(|([upstream, endpoint], totals)| {
        let outcomes = [("connected", totals[4]), ("failed", totals[5])];
        outcomes.map(|(outcome, count)| ([*upstream, *endpoint, outcome], Sample::Count(count)))
    });
    // Most endpoints are never tried.
    let tried = attempts.filter(|(_, sample)| !matches!(sample, Sample::Count(0)));
    family(out, &names::UPSTREAM_ALT_SVC, tried)
}

fn encode_rosters(out: &mut DescriptorEncoder<'_>, all: &AllBlocks, now: Tick) -> fmt::Result {
    let rosters: Vec<(&str, Report)> = all
        .rosters
        .iter()
        .filter_map(|(upstream, roster)| Some((&**upstream, roster.upgrade()?.report(now))))
        .collect();
    let rows = || {
        rosters.iter().flat_map(|(upstream, report)| {
            report.endpoints.iter().map(|endpoint| ([*upstream, &*endpoint.name], endpoint))
        })
    };
    let healthy = |one: &EndpointReport| Sample::Level((one.state == State::Healthy).into());
    family(out, &names::ENDPOINT_HEALTHY, rows().map(|(key, one)| (key, healthy(one))))?;
    let ejections = rows().map(|(key, one)| (key, Sample::Count(one.ejections)));
    family(out, &names::ENDPOINT_EJECTIONS, ejections)?;
    let breakers = || rows().filter_map(|(key, one)| Some((key, one.breaker?)));
    let state = |one: breaker::Report| match one.state {
        breaker::State::Off | breaker::State::Closed => Sample::Level(0),
        breaker::State::HalfOpen => Sample::Level(1),
        breaker::State::Open => Sample::Level(2),
    };
    let states = breakers().map(|(key, one)| (key, state(one)));
    family(out, &names::ENDPOINT_BREAKER_STATE, states)?;
    let opened = breakers().map(|(key, one)| (key, Sample::Count(one.opened)));
    family(out, &names::ENDPOINT_BREAKER_OPENED, opened)?;
    let checks = rows().filter_map(|(key, one)| Some((key, one.checks?)));
    let checks = checks.flat_map(|([upstream, endpoint], (passed, failed))| {
        let outcomes = [("success", passed), ("failure", failed)];
        outcomes.map(|(outcome, count)| ([upstream, endpoint, outcome], Sample::Count(count)))
    });
    family(out, &names::HEALTH_CHECKS, checks)?;
    let panic = rosters.iter().map(|(key, one)| ([*key], Sample::Level(one.panic.into())));
    family(out, &names::UPSTREAM_PANIC, panic)
}

fn encode_gates(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let gates: Vec<_> =
        all.gates.iter().filter_map(|(key, gate)| Some((key, gate.upgrade()?))).collect();
    let rows = || gates.iter().map(|((upstream, limit), gate)| ([&**upstream, &**limit], gate));
    let in_use = rows().map(|(key, gate)| (key, Sample::Level(gate.in_use().into())));
    family(out, &names::LIMIT_IN_USE, in_use)?;
    let waiting = rows().map(|(key, gate)| (key, Sample::Level(gate.waiting().into())));
    family(out, &names::LIMIT_WAITING, waiting)?;
    let adaptive: Vec<_> = all
        .adaptive
        .iter()
        .filter_map(|(key, limit)| Some((&**key, limit.upgrade()?.standing()?.limit)))
        .collect();
    let adaptive = adaptive.iter().map(|(key, limit)| ([*key], Sample::Level((*limit).into())));
    family(out, &names::UPSTREAM_ADAPTIVE_LIMIT, adaptive)
}

fn encode_admission(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let bulkheads: Vec<_> = all
        .bulkheads
        .iter()
        .filter_map(|(route, gate)| Some((&**route, gate.upgrade()?.in_use())))
        .collect();
    let in_use = bulkheads.iter().map(|(route, count)| ([*route], Sample::Level((*count).into())));
    family(out, &names::ROUTE_CONCURRENCY, in_use)?;
    let admission = all.admission.upgrade();
    let shed = admission.iter().flat_map(|admission| {
        Cause::ALL.into_iter().flat_map(|cause| {
            PRIORITIES.map(|priority| {
                let count = Sample::Count(admission.shed(cause, priority));
                ([cause.name(), priority_name(priority)], count)
            })
        })
    });
    family(out, &names::SHED, shed)?;
    let memory = admission.as_ref().and_then(|admission| admission.memory());
    let ratio = memory.map(|memory| ([], Sample::Measure(memory.ratio())));
    family(out, &names::MEMORY_PRESSURE, ratio)?;
    let lag = admission.map(|admission| ([], Sample::Measure(admission.lag_nanos() as f64 / 1e9)));
    family(out, &names::EVENT_LOOP_LAG, lag)
}

fn encode_limits(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let limits: Vec<_> = all.limits.iter().map(|(key, blocks)| (key, blocks.totals())).collect();
    let counts = limits.iter().flat_map(|((route, limit), totals)| {
        let rows = Outcome::NAMES.iter().zip(totals.counts);
        rows.map(|(outcome, count)| ([&**route, &**limit, *outcome], Sample::Count(count)))
    });
    let fallbacks = limits
        .iter()
        .map(|((route, limit), totals)| ([&**route, &**limit], Sample::Count(totals.fallbacks)));
    let fallbacks = fallbacks.filter(|(_, sample)| !sample.is_zero());
    family(out, &names::RATE_LIMIT, counts.filter(|(_, sample)| !sample.is_zero()))?;
    family(out, &names::RATE_LIMIT_FALLBACK, fallbacks)?;
    let under_way = all.limit_store.upgrade().map(|store| store.concurrency().keys());
    let under_way = under_way.map(|keys| ([], Sample::Level(keys as i64)));
    family(out, &names::CONCURRENCY_KEYS, under_way)?;
    // Visits every shard, so only where anything is kept there.
    let store = all.limit_store.upgrade().filter(|_| !limits.is_empty());
    let usage = store.map(|store| store.local().usage());
    let keys = usage.map(|usage| ([], Sample::Level(usage.keys as i64)));
    family(out, &names::RATE_LIMIT_KEYS, keys)?;
    family(out, &names::RATE_LIMIT_KEYS_LOST, usage.map(|usage| ([], Sample::Count(usage.lost))))
}

fn encode_redis(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let servers = all.redis.upgrade();
    let standing: Vec<_> = servers.iter().flat_map(|servers| servers.standing()).collect();
    let up = standing.iter().map(|(server, up)| ([&**server], Sample::Level((*up).into())));
    family(out, &names::REDIS_UP, up)?;
    let counters = servers.as_ref().map(|servers| servers.counters());
    let calls = counters.iter().flat_map(|counters| {
        let answered = (["answered"], Sample::Count(counters.answered()));
        let faults = counters.faults().filter(|(_, count)| *count > 0);
        let faults = faults.map(|(fault, count)| ([fault.name()], Sample::Count(count)));
        std::iter::once(answered).chain(faults)
    });
    family(out, &names::REDIS_CALLS, calls)?;
    let count = |of: fn(&Counters) -> u64| counters.map(|all| ([], Sample::Count(of(all))));
    family(out, &names::REDIS_SKIPPED, count(Counters::skipped))?;
    family(out, &names::REDIS_REMEMBERED, count(Counters::remembered))?;
    family(out, &names::REDIS_LENT, count(Counters::lent))?;
    family(out, &names::CONCURRENCY_FALLBACK, count(Counters::alone))?;
    family(out, &names::REDIS_CONNECTIONS, count(Counters::connections))?;
    family(out, &names::REDIS_RELOADS, count(Counters::reloads))
}

/// Writes one metric with all its label sets, as the format wants them: together.
fn family<'a, const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    metric: &Metric,
    rows: impl IntoIterator<Item = ([&'a str; N], Sample)>,
) -> fmt::Result {
    debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
    let (name, kind) = match metric.kind {
        // The encoder adds the suffix again.
        Kind::Counter => {
            (metric.name.strip_suffix("_total").unwrap_or(metric.name), MetricType::Counter)
        }
        Kind::Gauge => (metric.name, MetricType::Gauge),
        Kind::Histogram => (metric.name, MetricType::Histogram),
    };
    let mut encoder = out.encode_descriptor(name, metric.help, None, kind)?;
    for (values, sample) in rows {
        if N == 0 {
            write(encoder, &sample)?;
            return Ok(());
        }
        let labels: [(&str, &str); N] = std::array::from_fn(|i| (metric.labels[i], values[i]));
        write(encoder.encode_family(&labels)?, &sample)?;
    }
    Ok(())
}

fn write(mut encoder: MetricEncoder<'_>, sample: &Sample) -> fmt::Result {
    type NoExemplar = Option<&'static Exemplar<[(&'static str, &'static str); 0], f64>>;
    const NONE: NoExemplar = None;
    match sample {
        Sample::Count(count) => encoder.encode_counter(count, NONE),
        Sample::Level(level) => encoder.encode_gauge(level),
        Sample::Measure(measure) => encoder.encode_gauge(measure),
        Sample::Durations(totals) => {
            let bounds = DURATION_BOUNDS_NANOS.iter().map(|&nanos| nanos as f64 / 1e9);
            let buckets: Vec<(f64, u64)> =
                bounds.chain([f64::INFINITY]).zip(totals.durations).collect();
            let count = totals.durations.iter().sum();
            let seconds = totals.duration_sum as f64 / 1e9;
            encoder.encode_histogram::<[(&str, &str); 0]>(seconds, count, &buckets, None)
        }
    }
}
