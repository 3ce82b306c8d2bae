//! Little on the wire that would be much in memory: HPACK references, crumbs, stalled windows.

use std::{net::SocketAddr, time::Duration};

use super::{Bench, is_refusal};
use crate::support::{
    frames::{CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, request},
    hpack::{encode, indexed_literal},
};

/// Sends one field section in as many frames as it needs.
fn send_block(frames: &mut Frames, stream: u32, block: &[u8]) -> std::io::Result<()> {
    let mut pieces = block.chunks(16_000).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let end = if kind == HEADERS { END_STREAM } else { 0 };
        frames.send(kind, last | end, stream, piece)?;
        kind = CONTINUATION;
    }
    Ok(())
}

/// A request whose block names one dynamic entry `times` over.
fn bomb(name: &[u8], value: &[u8], times: usize) -> Vec<u8> {
    let mut block = encode(&request("GET", "/x"));
    indexed_literal(&mut block, name, value);
    block.extend(std::iter::repeat_n(0x80 | 62, times));
    block
}

/// Sends the bomb on many streams with a window of 0, so that nothing can be answered away.
fn held(address: SocketAddr, block: &[u8], streams: u32) {
    let mut frames = Frames::connect_with(address, &[(4, 0)]);
    for n in 0..streams {
        if send_block(&mut frames, n * 2 + 1, block).is_err() {
            return;
        }
    }
    frames.patience(Duration::from_millis(300));
    while let Ok(Some(_)) = frames.next() {}
}

#[test]
fn a_field_list_over_the_limit_is_refused() {
    let mut bench = Bench::new();
    let rows: [(&str, Vec<u8>); 5] = [
        ("8000 fields", bomb(b"x-a", b"", 8000)),
        ("101 fields", bomb(b"x-a", b"b", 101)),
        ("8000 crumbs", bomb(b"cookie", b"a=b", 8000)),
        ("60 KiB of references", bomb(b"x-a", &[b'b'; 4000], 16)),
        ("16 MiB of references", bomb(b"x-a", &[b'b'; 4000], 4000)),
    ];
    for (name, block) in rows {
        let mut frames = Frames::connect(bench.gateway.listen);
        let _ = send_block(&mut frames, 1, &block);
        let outcome = frames.outcome(1);
        assert!(is_refusal(&outcome), "{name}: {outcome:?}");
        if let Outcome::Response { status, .. } = outcome {
            assert_eq!(status, 431, "{name}");
        }
        bench.after(name).unwrap();
    }
    assert_eq!(bench.origin.seen_at("/x").len(), 0);
}

#[test]
fn lists_within_the_limit_pass() {
    let bench = Bench::new();
    let mut frames = Frames::connect(bench.gateway.listen);
    send_block(&mut frames, 1, &bomb(b"x-a", b"b", 80)).unwrap();
    assert_eq!(frames.outcome(1).status(), 200);
    send_block(&mut frames, 3, &bomb(b"x-a", &[b'b'; 1000], 20)).unwrap();
    assert_eq!(frames.outcome(3).status(), 200);
}

#[test]
fn bombs_held_by_a_closed_window_cost_little_memory() {
    let mut bench = Bench::new();
    let rows: [(&str, Vec<u8>); 4] = [
        ("tiny fields", bomb(b"a", b"", 90)),
        ("many tiny fields", bomb(b"a", b"", 15_000)),
        ("crumbs", bomb(b"cookie", b"a", 15_000)),
        ("large references", bomb(b"x-a", &[b'b'; 4000], 3000)),
    ];
    for (name, block) in rows {
        bench.attack(name, move |address| {
            for _ in 0..4 {
                held(address, &block, 100);
            }
        });
    }
}

#[test]
fn a_client_that_never_opens_its_window_costs_little_memory() {
    let mut bench = Bench::new();
    bench.attack("zero window", |address| {
        let mut all = Vec::new();
        for _ in 0..3 {
            let mut frames = Frames::connect_with(address, &[(4, 0)]);
            for n in 0..100 {
                frames.headers(n * 2 + 1, &request("GET", "/big"), true);
            }
            all.push(frames);
        }
        std::thread::sleep(Duration::from_secs(1));
    });
}

#[test]
fn a_client_that_never_reads_costs_little_memory() {
    let mut bench = Bench::new();
    bench.attack("unread", |address| {
        let window = [(4, 0x7fff_ffff)];
        let mut all = Vec::new();
        // Each stream holds what its upstream connection has read ahead, twice 64 KiB.
        for _ in 0..2 {
            let mut frames = Frames::connect_with(address, &window);
            let _ = frames.send(8, 0, 0, &0x3fff_ffffu32.to_be_bytes());
            for n in 0..100 {
                frames.headers(n * 2 + 1, &request("GET", "/big"), true);
            }
            all.push(frames);
        }
        std::thread::sleep(Duration::from_secs(1));
    });
}

#[test]
fn a_table_size_storm_is_borne_or_cut() {
    let mut bench = Bench::new();
    bench.attack("table sizes", |address| {
        let mut frames = Frames::connect(address);
        let mut block = Vec::new();
        for _ in 0..5000 {
            block.extend_from_slice(&[0x20, 0x3f, 0xe1, 0x1f]);
        }
        block.extend(encode(&request("GET", "/x")));
        let _ = send_block(&mut frames, 1, &block);
        let outcome = frames.outcome(1);
        assert!(is_refusal(&outcome) || outcome.status() == 200, "{outcome:?}");
    });
}
