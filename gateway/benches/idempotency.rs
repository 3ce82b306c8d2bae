//! What a keyed request costs in the store of the process: `cargo bench --bench idempotency`.
//!
//! The best mean of many short loops, in one thread. The store is full of keys that expire as time
//! goes by, so that every claim has to make its own room.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use weir_gateway::{
    clock::{self, Tick},
    idempotency::{
        fingerprint::{Fingerprint, Fingerprinter},
        key::RecordKey,
        memory::Memory,
        record::Recording,
        state::{Claimed, Terms},
    },
};

const LOOPS: u64 = 100;
const TURNS: u64 = 2_000;
const KEYS: u64 = 50_000;
const TERMS: Terms = Terms {
    lease: Duration::from_secs(30),
    ttl: Duration::from_secs(KEYS),
    redrive: false,
    runs_unclaimed: false,
};

fn time(name: &str, mut turn: impl FnMut(u64)) {
    let best = (0..LOOPS)
        .map(|round| {
            let began = clock::now();
            (round * TURNS..(round + 1) * TURNS).for_each(&mut turn);
            clock::now().nanos_since(began)
        })
        .min()
        .unwrap_or_default();
    println!("{name:<44} {:>8.1} ns", best as f64 / TURNS as f64);
}

fn key(number: u64) -> RecordKey {
    let key = format!("8e03978e-40d5-43e8-bc93-{number:012x}");
    RecordKey::new(&[Some(b"Bearer 0123456789abcdef")], "orders", key.as_bytes())
}

/// A second goes by with each request.
fn at(number: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(number)
}

fn main() {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Bytes::from_owner([b'x'; 1_024]);
    let print = || {
        let (method, names) = (Method::POST, [CONTENT_TYPE]);
        let mut print = Fingerprinter::new(&method, "api.example.com", "/orders", &headers, &names);
        print.update(&body);
        print.finish()
    };
    time("RecordKey::new", |i| {
        black_box(key(i));
    });
    time("Fingerprint of 1 KiB", |_| {
        black_box(print());
    });
    let keys: Vec<RecordKey> = (0..LOOPS * TURNS).map(key).collect();
    let recording = Arc::new(Recording::whole(StatusCode::CREATED, &headers, body.clone()));
    let run = |memory: &Memory, i: u64, print: &Fingerprint, recording: Arc<Recording>| {
        let key = &keys[i as usize];
        match memory.claim(key, print, &TERMS, at(i)) {
            Ok(Claimed::Granted(fence)) => memory.complete(key, fence, recording, &TERMS, at(i)),
            other => panic!("{other:?}"),
        }
    };
    let print_once = print();
    let memory = Memory::new(u64::MAX, KEYS);
    time("claim and complete", |i| {
        black_box(run(&memory, i, &print_once, Arc::clone(&recording)));
    });
    let memory = Memory::new(u64::MAX, KEYS);
    time("all of a first request", |i| {
        black_box(key(i));
        let recording = Recording::whole(StatusCode::CREATED, &headers, body.clone());
        black_box(run(&memory, i, &print(), Arc::new(recording)));
    });
    let memory = Memory::new(u64::MAX, KEYS);
    (0..KEYS).for_each(|i| {
        run(&memory, i, &print_once, Arc::clone(&recording));
    });
    time("replay", |i| {
        let claimed = memory.claim(&keys[(i % KEYS) as usize], &print_once, &TERMS, at(0));
        assert!(matches!(black_box(claimed), Ok(Claimed::Done(_))));
    });
}
