//! Plays a trace against the store and counts misses:
//! `cargo run --release -p weir-cache --example simulate -- FILE CAPACITY...`, with `--shards N`
//! and `--seed N` as one likes.
//!
//! FILE holds one object number per request, each a little-endian 32-bit integer. Every object
//! weighs one. Prints a line `CAPACITY MISSES` for each capacity.
#![allow(clippy::print_stdout, reason = "a program that reports on stdout")]

use std::{env, error::Error, fs};

use weir_cache::{
    entry::{Fill, Key},
    store::{Options, Store, Weighing},
    time::Time,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let usage = "usage: simulate FILE CAPACITY... [--shards N] [--seed N]";
    let bytes = fs::read(words.next().ok_or(usage)?)?;
    let (trace, _) = bytes.as_chunks::<4>();
    let (mut capacities, mut shards, mut seed) = (Vec::new(), 1, 1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--shards" => shards = words.next().ok_or(usage)?.parse()?,
            "--seed" => seed = words.next().ok_or(usage)?.parse()?,
            capacity => capacities.push(capacity.parse()?),
        }
    }
    for capacity in capacities {
        println!("{capacity} {}", misses(trace, capacity, shards, seed));
    }
    Ok(())
}

fn misses(trace: &[[u8; 4]], capacity: u64, shards: usize, seed: u64) -> u64 {
    let store = Store::new(Options { capacity, shards, weighing: Weighing::Units }, seed);
    let now = Time::ZERO;
    let mut misses = 0;
    for id in trace {
        // A key's name ends at a NUL byte, and names decide the shard: spell the number out.
        let key = u32::from_le_bytes(*id).to_string();
        if store.read(key.as_bytes(), now, |_| ()).is_none() {
            misses += 1;
            let fill = Fill { value: (), weight: 1, expires: Time::NEVER, tags: Vec::new() };
            // Nothing is refused: all weigh one.
            let _ = store.insert(&Key::from(key.as_bytes()), fill, store.ticket(), now);
        }
    }
    misses
}
