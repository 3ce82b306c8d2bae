//! What a decision costs, beside the governor crate: `cargo bench -p weir-ratelimit`.
//!
//! Decisions on one thread are the best mean of many short loops, everything in cache; on two the
//! best of some rounds. The clock is a number for both, so that neither pays for reading one.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot begin has failed")]

use std::{
    env, fs,
    hint::black_box,
    num::NonZeroU32,
    ops::Add,
    process::Command,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware, state::keyed};
use weir_ratelimit::{
    Algorithm, Ask, Bucket, Key, KeyHasher, Leaky, Local, Nanos, Rate, Secret, Window,
};

const LOOPS: usize = 200;
const TURNS: u64 = 2_000;
const ROUNDS: u64 = 1_000;
const SECOND: Duration = Duration::from_secs(1);
const RATE: u32 = 3_000_000;
const BURST: u32 = 1_000_000_000;
const MILLION: u64 = 1_000_000;

/// Prints the best mean of a loop.
fn time(name: &str, mut turn: impl FnMut(u64)) {
    let best = (0..LOOPS)
        .map(|_| {
            let began = Instant::now();
            (0..TURNS).for_each(&mut turn);
            began.elapsed()
        })
        .min();
    report(name, best.unwrap_or_default(), TURNS);
}

/// Prints the best of many rounds in which `threads` do [`TURNS`] turns each, per turn. Rounds are
/// far shorter than what a scheduler hands out, so that some are not interrupted, and those in
/// which threads had turns of the processor instead of each a processor do not count.
fn time_threads(name: &str, threads: u64, turn: impl Fn(u64, u64) + Sync) {
    let rounds: Vec<_> = (0..ROUNDS).filter_map(|i| round(threads, i, &turn)).collect();
    match rounds.iter().min() {
        Some(best) => report(name, *best, TURNS),
        None => println!("{name:<52} no undisturbed round"),
    }
}

fn round(threads: u64, round: u64, turn: &(impl Fn(u64, u64) + Sync)) -> Option<Duration> {
    let barrier = &Barrier::new(threads as usize);
    let work = |thread| {
        barrier.wait();
        let began = Instant::now();
        (0..TURNS).for_each(|i| turn(thread, round * TURNS + i));
        (began, Instant::now())
    };
    let times: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (first, last) = (times.iter().map(|t| t.0).min()?, times.iter().map(|t| t.1).max()?);
    let (all_began, one_ended) =
        (times.iter().map(|t| t.0).max()?, times.iter().map(|t| t.1).min()?);
    let together = one_ended.saturating_duration_since(all_began);
    (together * 10 >= (last - first) * 8).then_some(last - first)
}

fn report(name: &str, time: Duration, turns: u64) {
    println!("{name:<52} {:>8.1} ns", time.as_nanos() as f64 / turns as f64);
}

fn hasher() -> KeyHasher {
    KeyHasher::new(&Secret::new(*b"sixteen bytes..."), "api/per-ip")
}

fn address(number: u64) -> [u8; 16] {
    let mut address = [0; 16];
    address[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    address
}

fn key(number: u64) -> Key {
    hasher().part(&address(number)).finish()
}

fn bucket(rate: u64, burst: u64) -> Algorithm {
    Algorithm::TokenBucket(Bucket::new(Rate::new(rate, SECOND).unwrap(), burst).unwrap())
}

fn ask(algorithm: &Algorithm, key: Key) -> Ask<'_> {
    Ask { algorithm, key, cost: 1, dry_run: false }
}

/// A clock that stands still: what governor is given in place of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Still(u64);

impl clock::Clock for Still {
    type Instant = Self;

    fn now(&self) -> Self {
        *self
    }
}

impl Add<governor::nanos::Nanos> for Still {
    type Output = Self;

    fn add(self, length: governor::nanos::Nanos) -> Self {
        Self(self.0 + length.as_u64())
    }
}

impl clock::Reference for Still {
    fn duration_since(&self, earlier: Self) -> governor::nanos::Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, length: governor::nanos::Nanos) -> Self {
        Self(self.0.saturating_sub(length.into()))
    }
}

type Peer =
    RateLimiter<[u8; 16], keyed::DefaultKeyedStateStore<[u8; 16]>, Still, NoOpMiddleware<Still>>;

fn peer(rate: u32, burst: u32) -> Peer {
    let rate = Quota::per_second(NonZeroU32::new(rate).unwrap());
    let quota = rate.allow_burst(NonZeroU32::new(burst).unwrap());
    RateLimiter::new(quota, keyed::DefaultKeyedStateStore::default(), Still(1_000_000))
}

/// Tells a process of this program what to fill.
const KIND: &str = "DECIDE_FILL";

fn main() {
    if let Ok(kind) = env::var(KIND) {
        return fill(&kind);
    }
    // As in `cargo bench -p weir-ratelimit -- threads`: one part only.
    let parts: [(&str, fn()); 3] =
        [("one", one_thread), ("threads", two_threads), ("memory", memory)];
    let chosen = env::args().skip(1).find(|argument| !argument.starts_with("--"));
    for (_, run) in parts.iter().filter(|(name, _)| chosen.as_ref().is_none_or(|c| c == name)) {
        run();
    }
}

fn one_thread() {
    let now = Nanos::new(1_000_000);
    let store = Local::new(MILLION as usize);
    let plenty = bucket(RATE.into(), BURST.into());
    let hasher = hasher();
    time("KeyHasher, an address", |i| {
        black_box(hasher.part(&address(i & 1)).finish());
    });
    let one = key(7);
    time("bucket, a warm key", |_| {
        black_box(store.check_one(&ask(&plenty, black_box(one)), now));
    });
    time("bucket, a warm key, hashed from its address", |_| {
        let key = hasher.part(&black_box(address(7))).finish();
        black_box(store.check_one(&ask(&plenty, key), now));
    });
    let spare = bucket(1, 1);
    time("bucket, a warm key, denied, hashed", |_| {
        let key = hasher.part(&black_box(address(8))).finish();
        black_box(store.check_one(&ask(&spare, key), now));
    });
    let rate = Rate::new(RATE.into(), SECOND).unwrap();
    let leaky = Algorithm::LeakyBucket(Leaky::new(rate, BURST.into()).unwrap());
    let window = Algorithm::SlidingWindow(Window::new(u32::MAX.into(), SECOND).unwrap());
    for (name, algorithm, number) in [("leaky bucket", leaky, 9), ("sliding window", window, 10)] {
        time(&format!("{name}, a warm key, hashed"), |_| {
            let key = hasher.part(&black_box(address(number))).finish();
            black_box(store.check_one(&ask(&algorithm, key), now));
        });
    }
    for count in 1..=3_usize {
        let asks: Vec<_> = (0..count).map(|i| ask(&plenty, key(20 + i as u64))).collect();
        time(&format!("check of {count} buckets, warm keys, no hashing"), |_| {
            black_box(store.check(black_box(&asks), now));
        });
    }
    let peer = peer(RATE, BURST);
    time("governor, a warm key", |_| {
        _ = black_box(peer.check_key(&black_box(address(7))));
    });
}

fn two_threads() {
    let now = Nanos::new(1_000_000);
    let store = &Local::new(MILLION as usize);
    let plenty = &bucket(RATE.into(), BURST.into());
    let peer = &peer(RATE, BURST);
    let hasher = &hasher();
    let ours = |number: u64| {
        let key = hasher.part(&address(number)).finish();
        black_box(store.check_one(&ask(plenty, key), now));
    };
    let theirs = |number: u64| {
        _ = black_box(peer.check_key(&address(number)));
    };
    for threads in [1, 2] {
        time_threads(&format!("{threads} threads, one hot key: ours"), threads, |_, _| {
            ours(1);
        });
        time_threads(&format!("{threads} threads, one hot key: governor"), threads, |_, _| {
            theirs(1);
        });
        let spread = |thread: u64, i: u64| (i * 7_919 + thread * 104_729) % 100_000;
        let name = format!("{threads} threads, 100,000 keys");
        time_threads(&format!("{name}: ours"), threads, |thread, i| ours(spread(thread, i)));
        time_threads(&format!("{name}: governor"), threads, |thread, i| {
            theirs(spread(thread, i));
        });
    }
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

/// Fills a million keys, each kind in a process of its own, which has no memory to reuse.
fn memory() {
    for kind in ["bucket", "window", "governor"] {
        let status = Command::new(env::current_exe().unwrap()).env(KIND, kind).status();
        assert!(status.unwrap().success());
    }
}

fn fill(kind: &str) {
    let now = Nanos::new(1_000_000);
    let before = resident();
    let began = Instant::now();
    let grown = || (resident() - before) as f64 / MILLION as f64;
    if kind == "governor" {
        let peer = peer(10, 10);
        (0..MILLION).for_each(|number| _ = peer.check_key(&address(number)));
        println!("governor, {} keys: {:.1} bytes of resident memory each", peer.len(), grown());
        return report("    a new key", began.elapsed(), MILLION);
    }
    let algorithm = match kind {
        "bucket" => bucket(10, 10),
        _ => Algorithm::SlidingWindow(Window::new(10, SECOND).unwrap()),
    };
    let store = Local::new(5 * MILLION as usize / 4);
    (0..MILLION).for_each(|number| {
        store.check_one(&ask(&algorithm, key(number)), now);
    });
    let (time, usage) = (began.elapsed(), store.usage());
    let bytes = usage.bytes as f64 / usage.keys as f64;
    println!(
        "{kind}, {} keys: {bytes:.1} bytes each, {:.1} of resident memory; {} lost",
        usage.keys,
        grown(),
        usage.lost,
    );
    report("    a new key", time, MILLION);
    sweeping(&store);
}

fn sweeping(store: &Local) {
    let (mut holds, mut removed) = (Vec::new(), 0);
    while removed < MILLION as usize {
        let began = Instant::now();
        removed += store.sweep(Nanos::new(60_000_000_000), 1).removed;
        holds.push(began.elapsed());
    }
    let total: Duration = holds.iter().sum();
    holds.sort();
    let (median, p99) = (holds[holds.len() / 2], holds[holds.len() * 99 / 100]);
    println!("    swept in {total:?}; holds a lock for {median:?}, at the 99th percentile {p99:?}");
}
