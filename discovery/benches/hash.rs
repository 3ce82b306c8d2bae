//! What it costs to find a key's node, and to take a change in: `cargo bench -p weir-discovery
//! --bench hash`. Also how even keys are, over some sets of names.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot begin has failed")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use weir_discovery::{
    hash::{Node, mix, xxh64},
    jump::jump,
    maglev::{self, Maglev},
    rendezvous::{Rendezvous, slot},
    ring::{self, Ring},
};

const KEYS: u64 = 1_000_000;
const LOOPS: usize = 200;
const TURNS: u64 = 10_000;

/// The best mean of many short loops, over keys that come in no order.
fn lookup(name: &str, nodes: usize, mut find: impl FnMut(u64) -> usize) {
    let mut base = 0;
    let best = (0..LOOPS).map(|_| {
        base += TURNS;
        let began = Instant::now();
        let sum: usize = (base..base + TURNS).map(|key| find(mix(key))).sum();
        black_box(sum);
        began.elapsed()
    });
    let nanos = best.min().unwrap_or_default().as_nanos() as f64 / TURNS as f64;
    println!("{:<44} {nanos:>9.1} ns", format!("{name}, {nodes} nodes"));
}

/// The median and the best of some changes.
fn change(name: &str, nodes: usize, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (best, median) = (times[0], times[times.len() / 2]);
    let name = format!("{name}, {nodes} nodes");
    println!("{name:<44} {median:>12.2?} median {best:>12.2?} best");
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}

/// Keys of the fullest node over the mean.
fn fullest(nodes: usize, find: impl Fn(u64) -> usize, seed: u64) -> f64 {
    let mut counts = vec![0_u32; nodes];
    for key in 0..KEYS {
        counts[find(mix(key ^ (seed << 40)))] += 1;
    }
    f64::from(*counts.iter().max().unwrap()) * nodes as f64 / KEYS as f64
}

fn names(nodes: usize, seed: u64) -> Vec<String> {
    (0..nodes).map(|i| format!("node-{seed}-{i}")).collect()
}

fn of(names: &[String]) -> Vec<Node<'_>> {
    names.iter().map(|name| Node { name, weight: 1 }).collect()
}

fn changes(count: usize) {
    let names = names(count, 0);
    let nodes = of(&names);
    change("rendezvous, built", count, vec![timed(|| Rendezvous::new(&nodes).unwrap())]);
    let mut set = Rendezvous::new(&nodes).unwrap();
    let (mut leaves, mut joins, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let (mut swaps, mut prepares) = (Vec::new(), Vec::new());
    for name in names.iter().step_by(count / 10) {
        leaves.push(timed(|| set.leave(name)));
        joins.push(timed(|| set.join(Node { name, weight: 1 })));
        weights.push(timed(|| set.join(Node { name, weight: 2 })));
        weights.push(timed(|| set.join(Node { name, weight: 1 })));
    }
    let mut swapped_in = Vec::new();
    for name in names.iter().step_by(count / 10) {
        prepares.push(timed(|| while set.prepare(16_384) == 16_384 {}));
        let mut other = Rendezvous::default();
        swaps.push(timed(|| {
            other = set.succeed();
            other.leave(name);
        }));
        set = other;
        while set.prepare(16_384) == 16_384 {}
        let mut other = Rendezvous::default();
        swapped_in.push(timed(|| {
            other = set.succeed();
            other.join(Node { name, weight: 1 }).unwrap();
        }));
        set = other;
    }
    change("rendezvous, one leaves", count, leaves);
    change("rendezvous, one leaves the successor", count, swaps);
    change("rendezvous, one joins the successor", count, swapped_in);
    change("rendezvous, prepared for the next", count, prepares);
    // And what it comes to when nobody ever prepares.
    let unprepared = names.iter().skip(1).take(count / 4).filter(|name| set.find(name).is_some());
    let names: Vec<&String> = unprepared.collect();
    let times: Vec<Duration> = names.iter().map(|name| timed(|| set.leave(name))).collect();
    let last = times[times.len() * 9 / 10..].to_vec();
    change("rendezvous, the last tenth of a quarter leaves", count, last);
    change("rendezvous, one joins", count, joins);
    change("rendezvous, one has another weight", count, weights);
    change("rendezvous, copied", count, (0..10).map(|_| timed(|| set.clone())).collect());
    change("maglev, built", count, vec![timed(|| Maglev::new(&nodes, maglev::ENTRIES).unwrap())]);
    change("ring, built", count, vec![timed(|| Ring::new(&nodes, ring::DIGESTS).unwrap())]);
}

fn main() {
    for count in [10, 64, 100, 1_000] {
        let names = names(count, 0);
        let nodes = of(&names);
        let set = Rendezvous::new(&nodes).unwrap();
        let table = Maglev::new(&nodes, maglev::ENTRIES).unwrap();
        let points = Ring::new(&nodes, ring::DIGESTS).unwrap();
        lookup("rendezvous", count, |key| set.first(slot(key)).unwrap().into());
        lookup("rendezvous, second choice", count, |key| {
            let first = set.first(slot(key));
            set.first_of(slot(key), |id| Some(id) != first).unwrap().into()
        });
        lookup("maglev", count, |key| table.first(key).unwrap());
        lookup("ring", count, |key| points.first(key as u32).unwrap());
        lookup("jump", count, |key| jump(key, count as u32) as usize);
    }
    lookup("xxh64 of a key of 16 bytes", 0, |key| {
        xxh64(&u128::from(key).to_le_bytes(), 0) as usize & 1
    });
    lookup("md5 of a key of 16 bytes", 0, |key| {
        ring::position(&u128::from(key).to_le_bytes()) as usize & 1
    });
    for count in [100, 1_000] {
        changes(count);
    }
    for count in [10, 100, 1_000] {
        let seeds = 4;
        let sums = (0..seeds).map(|seed| {
            let names = names(count, seed);
            let nodes = of(&names);
            let set = Rendezvous::new(&nodes).unwrap();
            let table = Maglev::new(&nodes, maglev::ENTRIES).unwrap();
            let points = Ring::new(&nodes, ring::DIGESTS).unwrap();
            let thrown = |key| ((u128::from(mix(key)) * count as u128) >> 64) as usize;
            [
                fullest(count, |key| set.first(slot(key)).unwrap().into(), seed),
                fullest(count, |key| table.first(key).unwrap(), seed),
                fullest(count, |key| points.first(key as u32).unwrap(), seed),
                fullest(count, |key| jump(key, count as u32) as usize, seed),
                fullest(count, thrown, seed),
            ]
        });
        let sums = sums.fold([0.0; 5], |sums, one| std::array::from_fn(|i| sums[i] + one[i]));
        let [rendezvous, maglev, ring, jump, thrown] = sums.map(|sum| sum / seeds as f64);
        println!(
            "fullest over mean, {count} nodes: rendezvous {rendezvous:.4}, maglev {maglev:.4}, \
             ring {ring:.4}, jump {jump:.4}, dice {thrown:.4}"
        );
    }
}
