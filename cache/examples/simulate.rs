//! Plays a trace against the store and counts misses:
//! `cargo run --release -p weir-cache --example simulate -- FILE CAPACITY...`, with `--shards N`
//! and `--seed N` as one likes, and `--probation PERCENT` and `--heavy TIMES` for what new entries
//! have to go through.
//!
//! FILE holds one object number per request, each a little-endian 32-bit integer. Every object
//! weighs one. Prints a line `CAPACITY MISSES` for each capacity. With `--sizes` each number is
//! followed by a size in bytes, which is what the object weighs, and the line goes on with the
//! bytes missed.
#![allow(clippy::print_stdout, reason = "a program that reports on stdout")]

use std::{env, error::Error, fs};

use weir_cache::{
    entry::{Fill, Key},
    store::{Admission, Options, Store, Weighing},
    time::Time,
};

/// What is played, and to what.
struct Play {
    /// Numbers and sizes.
    trace: Vec<(u32, u32)>,
    shards: usize,
    seed: u64,
    admission: Admission,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let usage = "usage: simulate FILE CAPACITY... [--shards N] [--seed N] [--probation PERCENT] \
                 [--heavy TIMES] [--sizes]";
    let bytes = fs::read(words.next().ok_or(usage)?)?;
    let (mut capacities, mut sizes) = (Vec::new(), false);
    let mut play = Play { trace: Vec::new(), shards: 1, seed: 1, admission: Admission::default() };
    while let Some(word) = words.next() {
        let mut number = || words.next().ok_or(usage);
        match word.as_str() {
            "--shards" => play.shards = number()?.parse()?,
            "--seed" => play.seed = number()?.parse()?,
            "--probation" => play.admission.probation = number()?.parse()?,
            "--heavy" => play.admission.heavy = number()?.parse()?,
            "--sizes" => sizes = true,
            capacity => capacities.push(capacity.parse()?),
        }
    }
    let (numbers, _) = bytes.as_chunks::<4>();
    let mut numbers = numbers.iter().map(|number| u32::from_le_bytes(*number));
    while let Some(id) = numbers.next() {
        play.trace.push((id, if sizes { numbers.next().unwrap_or(1) } else { 1 }));
    }
    for capacity in capacities {
        let (misses, bytes) = play.misses(capacity);
        match sizes {
            true => println!("{capacity} {misses} {bytes}"),
            false => println!("{capacity} {misses}"),
        }
    }
    Ok(())
}

impl Play {
    fn misses(&self, capacity: u64) -> (u64, u64) {
        let Self { shards, seed, admission, .. } = *self;
        let options = Options { capacity, shards, weighing: Weighing::Units, admission };
        let store = Store::new(options, seed);
        let now = Time::ZERO;
        let (mut misses, mut bytes) = (0, 0);
        for (id, size) in &self.trace {
            // A key's name ends at a NUL byte, and names decide the shard: spell the number out.
            let key = id.to_string();
            if store.read(key.as_bytes(), now, |_| ()).is_none() {
                misses += 1;
                let weight = u64::from(*size);
                bytes += weight;
                let fill = Fill { value: (), weight, expires: Time::NEVER, tags: Vec::new() };
                // What is refused is too large, or came too early.
                let _ = store.insert(&Key::from(key.as_bytes()), fill, store.ticket(), now);
            }
        }
        (misses, bytes)
    }
}
