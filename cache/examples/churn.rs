//! An hour of churn in fast motion, and what memory it takes:
//! `cargo run --release -p weir-cache --example churn -- [MEBIBYTES [REQUESTS [RATE]]]`.
//!
//! Two threads ask for pages of a Zipf kind, 1,000 a second by the clock of the store, for an hour:
//! bodies of 200 bytes to 512 KiB, half of them below 4 KiB, with six fields, lifetimes from ten
//! seconds to an hour, some with a variant or two, some purged by tag. Nearly all of it is evicted
//! again. The allocator gives pages back after a second, so what it holds beside the store grows
//! with the rate of evictions: `RATE` requests a second, as many as there is time for by default,
//! say how fast the motion is. Prints what the store says it holds and what the process takes
//! beyond what it began with, and fails if that is ever more than 10 % and 24 MiB above the
//! capacity.
#![allow(clippy::print_stdout, reason = "a program that reports on stdout")]

use std::{
    env,
    error::Error,
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use weir_cache::{
    entry::{Entry, Key},
    http::{
        freshness::Exchange,
        page::Page,
        policy::Policy,
        stored::{CACHE_TAG, Head, Request, Response, Stored},
    },
    purges::{Purge, Selector},
    store::{Admission, Options, Store, Weighing},
    time::Time,
};

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MIB: u64 = 1 << 20;
const THREADS: u64 = 2;
const IDS: f64 = 3_000_000.0;
/// What the process may take beside the store's memory, in bytes.
const BASE: u64 = 24 * MIB;
/// A thread that is ahead by less does not sleep.
const NAP: Duration = Duration::from_millis(1);

#[allow(clippy::disallowed_methods, reason = "a program that keeps real time")]
fn now() -> Instant {
    Instant::now()
}

/// Bytes of memory that are this process's own and present.
fn resident() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let mut fields = text.split(' ').skip(1).map(str::parse::<u64>);
    let (all, shared) = (fields.next().ok_or("no field")??, fields.next().ok_or("no field")??);
    Ok((all - shared) * 4096)
}

/// A page as an origin makes it: the same for the same number.
fn page(id: u64, request: &HeaderMap, now: Time, policy: &Policy) -> Option<Stored> {
    let mut rng = fastrand::Rng::with_seed(id);
    let length = (200.0 * 2_600_f64.powf(rng.f64().powf(1.35))) as usize;
    let lifetime = 10.0 * 360_f64.powf(rng.f64());
    let mut headers = HeaderMap::new();
    let mut set = |name, text: String| {
        HeaderValue::try_from(text).map(|value| headers.insert(name, value)).is_ok()
    };
    set(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned());
    set(header::CONTENT_LENGTH, length.to_string());
    set(header::CACHE_CONTROL, format!("max-age={}", lifetime as u64));
    set(header::ETAG, format!("\"{:x}\"", rng.u64(..)));
    set(CACHE_TAG, format!("site-{}, kind-{}", id % 1_000, id % 7));
    if id.is_multiple_of(10) {
        set(header::VARY, "accept-language".to_owned());
    }
    let response = Response {
        status: StatusCode::OK,
        headers: &headers,
        exchange: Exchange { asked: now, answered: now },
        is_content_location: false,
    };
    let head = Head::of(&Request::new(&Method::GET, request), &response, policy).ok()?;
    head.with_body(Bytes::from(vec![id as u8; length]), policy).ok()
}

/// A share of the requests; how many were hits.
fn run(store: &Store<Page>, clock: &AtomicU64, seed: u64, requests: u64, pace: Duration) -> u64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (policy, mut hits) = (Policy::default(), 0);
    let mut next = now();
    for _ in 0..requests {
        next += pace;
        if let Some(early) = next.checked_duration_since(now()).filter(|early| *early > NAP) {
            thread::sleep(early);
        }
        let now = Time::from_millis(clock.fetch_add(1, Relaxed));
        let id = IDS.powf(rng.f64()) as u64;
        let key = format!("https://www.example.com/articles/{id}/index.html\0articles main");
        let mut headers = HeaderMap::new();
        let language = HeaderValue::from_static(["de", "fr", "en"][rng.usize(..3)]);
        headers.insert(header::ACCEPT_LANGUAGE, language);
        let request = Request::new(&Method::GET, &headers);
        let fresh = |entry: &Entry<Page>| {
            let stored = entry.value().select(&request);
            stored.is_some_and(|stored| stored.head().freshness().is_fresh(now))
        };
        if store.read(key.as_bytes(), now, fresh) == Some(true) {
            hits += 1;
        } else if let Some(stored) = page(id, &headers, now, &policy) {
            let stored = Arc::new(stored);
            let make = |before: Option<&_>| Some(Page::with(before, stored.clone(), &policy));
            // What is larger than a share is refused.
            let _ = store.update(&Key::from(key.as_bytes()), store.ticket(), now, make);
        }
        if rng.u32(..10_000) == 0 {
            store
                .purge(Selector::Tag(format!("site-{}", rng.u32(..1_000)).as_bytes()), Purge::Hard);
        }
    }
    hits
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = env::args().skip(1).map(|word| word.parse::<u64>());
    let capacity = numbers.next().transpose()?.unwrap_or(256) * MIB;
    let requests = numbers.next().transpose()?.unwrap_or(3_600_000);
    let rate = numbers.next().transpose()?.filter(|rate| *rate > 0);
    let pace = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(THREADS) / rate as u32);
    let options = Options {
        capacity,
        shards: 16,
        weighing: Weighing::Bytes,
        admission: Admission::default(),
    };
    let (store, clock) = (Store::<Page>::new(options, 7), AtomicU64::new(1_795_176_000_000));
    let (before, mut peak, mut heaviest) = (resident()?, 0, 0);
    let hits = thread::scope(|scope| -> Result<u64, Box<dyn Error>> {
        let work = |seed| {
            let (store, clock) = (&store, &clock);
            scope.spawn(move || run(store, clock, seed, requests / THREADS, pace))
        };
        let threads: Vec<_> = (0..THREADS).map(work).collect();
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            peak = peak.max(resident()?.saturating_sub(before));
            heaviest = heaviest.max(store.weight());
        }
        Ok(threads.into_iter().filter_map(|thread| thread.join().ok()).sum())
    })?;
    let mebibytes = |bytes: u64| bytes as f64 / MIB as f64;
    println!(
        "capacity {:.1} MiB, held at most {:.1}, in {} entries at the end, evicted {}",
        mebibytes(capacity),
        mebibytes(heaviest),
        store.len(),
        store.evictions()
    );
    println!(
        "resident at most {:.1} MiB more than at the start: {:.3} of the capacity; hit ratio {:.3}",
        mebibytes(peak),
        peak as f64 / capacity as f64,
        hits as f64 / requests as f64
    );
    if heaviest > capacity || peak > capacity + capacity / 10 + BASE {
        return Err("more memory than configured".into());
    }
    Ok(())
}
