//! The store beside other caches: `cargo bench -p weir-cache --bench store [-- FILE CAPACITY]...`.
//!
//! First what a hit costs, on one thread and on two, with all keys in the cache. Then what a whole
//! trace costs and how much of it misses. Traces are made from a seed; FILE, of little-endian
//! 32-bit object numbers, is played as well. Times are of the threads' own processor time, so that
//! what else runs on the machine counts little: the best of several rounds.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]

use std::{env, fs, hint::black_box, sync::Arc, sync::Barrier, thread};

use foldhash::quality::FixedState;
use foyer_memory::{CacheBuilder, CacheProperties, SieveConfig};
use weir_cache::{
    entry::{Fill, Key},
    store::{Admission, Options, Store, Weighing},
    time::Time,
};

const ROUNDS: usize = 7;
const TURNS: usize = 1 << 20;

type Bytes = Arc<[u8]>;

/// A cache of so many objects that counts each for one.
trait Subject: Sync {
    /// Whether the key is there; its value is looked at.
    fn get(&self, key: &[u8]) -> bool;
    fn insert(&self, key: &[u8]);
}

/// Weir's, read in place.
struct Weir(Store<Bytes>);

fn weir(capacity: usize, shards: usize) -> Weir {
    let options = Options {
        capacity: capacity as u64,
        shards,
        weighing: Weighing::Units,
        admission: Admission::default(),
    };
    Weir(Store::new(options, 7))
}

impl Subject for Weir {
    fn get(&self, key: &[u8]) -> bool {
        self.0.read(key, Time::ZERO, |entry| black_box(entry.value().len())).is_some()
    }

    fn insert(&self, key: &[u8]) {
        let fill = Fill { value: key.into(), weight: 1, expires: Time::NEVER, tags: Vec::new() };
        self.0.insert(&Key::from(key), fill, self.0.ticket(), Time::ZERO).unwrap();
    }
}

/// Weir's, with a reference taken to the entry, as the others do.
struct Counted(Weir);

impl Subject for Counted {
    fn get(&self, key: &[u8]) -> bool {
        self.0.0.entry(key, Time::ZERO).is_some_and(|entry| black_box(entry.value().len()) > 0)
    }

    fn insert(&self, key: &[u8]) {
        self.0.insert(key);
    }
}

struct QuickCache(quick_cache::sync::Cache<Bytes, Bytes>);

impl Subject for QuickCache {
    fn get(&self, key: &[u8]) -> bool {
        self.0.get(key).is_some_and(|value| black_box(value.len()) > 0)
    }

    fn insert(&self, key: &[u8]) {
        self.0.insert(key.into(), key.into());
    }
}

struct Moka(moka::sync::Cache<Bytes, Bytes, FixedState>);

impl Subject for Moka {
    fn get(&self, key: &[u8]) -> bool {
        self.0.get(key).is_some_and(|value| black_box(value.len()) > 0)
    }

    fn insert(&self, key: &[u8]) {
        self.0.insert(key.into(), key.into());
    }
}

struct Foyer(foyer_memory::Cache<Bytes, Bytes, FixedState, CacheProperties>);

impl Subject for Foyer {
    fn get(&self, key: &[u8]) -> bool {
        self.0.get(key).is_some_and(|entry| black_box(entry.value().len()) > 0)
    }

    fn insert(&self, key: &[u8]) {
        self.0.insert(key.into(), key.into());
    }
}

/// All of them, the ones that have shards with as many each.
fn subjects(capacity: usize) -> Vec<(&'static str, Box<dyn Subject>)> {
    let moka = moka::sync::Cache::builder().max_capacity(capacity as u64);
    let foyer = CacheBuilder::new(capacity)
        .with_shards(16)
        .with_eviction_config(SieveConfig)
        .with_hash_builder(FixedState::with_seed(7))
        .build();
    vec![
        ("weir, read in place", Box::new(weir(capacity, 16))),
        ("weir, reference taken", Box::new(Counted(weir(capacity, 16)))),
        ("quick_cache", Box::new(QuickCache(quick_cache::sync::Cache::new(capacity)))),
        ("moka", Box::new(Moka(moka.build_with_hasher(FixedState::with_seed(7))))),
        ("foyer, sieve", Box::new(Foyer(foyer))),
    ]
}

fn main() {
    for count in [1_000, 10_000, 100_000] {
        hits(count);
    }
    for (ids, capacity) in [(1_000_000, 1_000), (1_000_000, 10_000), (1_000_000, 100_000)] {
        replay(&format!("made, {ids} ids"), &zipf(1, 2_000_000, ids), capacity);
    }
    let words: Vec<_> = env::args().skip(1).filter(|word| word != "--bench").collect();
    for pair in words.chunks_exact(2) {
        let bytes = fs::read(&pair[0]).unwrap();
        let trace: Vec<_> =
            bytes.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
        replay(&pair[0], &trace, pair[1].parse().unwrap());
    }
}

/// What a hit costs when everything fits.
fn hits(count: u32) {
    println!("\nhits among {count} keys       ns on 1 thread   on 2 threads   times as many");
    let keys: Vec<_> = (0..count).map(url).collect();
    let traces = [zipf(1, TURNS, count), zipf(2, TURNS, count)];
    for (name, subject) in subjects(count as usize * 2) {
        for key in &keys {
            subject.insert(key);
        }
        let [one, two] = [1, 2].map(|threads| {
            (0..ROUNDS).map(|_| hit_time(&*subject, &keys, &traces[..threads])).min().unwrap()
        });
        let nanos = |time: u64| time as f64 / TURNS as f64;
        let scale = 2.0 * one as f64 / two as f64;
        println!("  {name:<26} {:>14.1} {:>14.1} {scale:>15.2}", nanos(one), nanos(two));
    }
}

/// The longest processor time that a thread needs for its trace, all of them running at once.
fn hit_time(subject: &dyn Subject, keys: &[Vec<u8>], traces: &[Vec<u32>]) -> u64 {
    let start = Barrier::new(traces.len());
    let run = |trace: &[u32]| {
        start.wait();
        let began = processor_nanos();
        let hits = trace.iter().filter(|id| subject.get(&keys[**id as usize])).count();
        let time = processor_nanos() - began;
        // Some evict a little before they are full.
        assert!(hits * 100 > trace.len() * 98, "{hits}");
        time
    };
    thread::scope(|scope| {
        let threads: Vec<_> = traces.iter().map(|trace| scope.spawn(|| run(trace))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap_or_default()
    })
}

/// What a trace costs and how much of it misses: a get, and an insert after a miss.
fn replay(name: &str, trace: &[u32], capacity: usize) {
    println!("\n{name}, {} requests, capacity {capacity}    ns each   miss ratio", trace.len());
    let keys: Vec<_> = (0..=*trace.iter().max().unwrap()).map(url).collect();
    let mut all = subjects(capacity);
    all.insert(1, ("weir, one shard", Box::new(weir(capacity, 1))));
    for (name, subject) in all {
        let began = processor_nanos();
        let mut misses = 0_u32;
        for id in trace {
            let key = &keys[*id as usize];
            if !subject.get(key) {
                misses += 1;
                subject.insert(key);
            }
        }
        let nanos = (processor_nanos() - began) as f64 / trace.len() as f64;
        let ratio = f64::from(misses) / trace.len() as f64;
        println!("  {name:<26} {nanos:>24.1} {ratio:>12.4}");
    }
}

fn url(id: u32) -> Vec<u8> {
    format!("https://www.example.com/assets/{id:08}.js").into_bytes()
}

/// Requests of a Zipf-like kind, from a seed: a few ids often, many rarely.
fn zipf(seed: u64, length: usize, ids: u32) -> Vec<u32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| (f64::from(ids).powf(rng.f64()) - 1.0) as u32).collect()
}

/// Processor time of this thread.
fn processor_nanos() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
