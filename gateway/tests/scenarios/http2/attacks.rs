//! Floods of frames: cut or borne, without harm to anybody else.

use std::{io, net::SocketAddr, time::Duration};

use super::Bench;
use crate::support::{
    eventually,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PRIORITY,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, request,
    },
    hpack::encode,
};

const ALL: u8 = END_HEADERS | END_STREAM;

/// Sends until told to stop or cut off, reading nothing; a peer that stops reading ends it too.
fn flood(address: SocketAddr, first: &[u8], count: u32, mut piece: impl FnMut(u32) -> Vec<u8>) {
    let mut frames = Frames::connect(address);
    frames.stalls_within(Duration::from_secs(2));
    let _ = frames.raw(first);
    let mut send = || -> io::Result<()> {
        for n in 0..count {
            frames.raw(&piece(n))?;
        }
        Ok(())
    };
    let _ = send();
}

/// Sends many request pairs in batches while reading what comes; the number sent before the cut.
fn provoke(address: SocketAddr, path: &str, count: u32, fault: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut frames = Frames::connect(address);
    frames.patience(Duration::from_millis(1));
    let block = encode(&request("GET", path));
    for n in 0..count {
        let stream = n * 2 + 1;
        let pair = [frame(HEADERS, ALL, stream, &block), fault(stream)].concat();
        if frames.raw(&pair).is_err() {
            return n;
        }
        if n % 50 == 49 {
            while let Ok(next) = frames.next() {
                if next.is_none() {
                    return n;
                }
            }
        }
    }
    count
}

#[test]
fn rapid_reset_is_cut() {
    let mut bench = Bench::new();
    bench.attack("rapid reset", |address| {
        let cancel = |stream| frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
        let sent = provoke(address, "/x/slow", 20_000, cancel);
        assert!(sent < 5000, "{sent} pairs borne");
    });
    let arrived = bench.origin.seen_at("/x").len();
    assert!(arrived < 1000, "{arrived} requests reached the origin");
}

#[test]
fn faults_that_make_the_gateway_reset_are_cut() {
    type Fault = fn(u32) -> Vec<u8>;
    let faults: [(&str, Fault); 6] = [
        ("window update 0", |s| frame(WINDOW_UPDATE, 0, s, &[0; 4])),
        ("window overflow", |s| frame(WINDOW_UPDATE, 0, s, &0x7fff_ffffu32.to_be_bytes())),
        ("priority of 4", |s| frame(PRIORITY, 0, s, &[0; 4])),
        ("priority on itself", |s| frame(PRIORITY, 0, s, &[&s.to_be_bytes()[..], &[1]].concat())),
        ("data after the end", |s| frame(DATA, END_STREAM, s, b"a")),
        ("headers after the end", |s| frame(HEADERS, ALL, s, &encode(&request("GET", "/x")))),
    ];
    let mut bench = Bench::new();
    for (name, fault) in faults {
        let before = bench.origin.seen_at("/x").len();
        bench.attack(name, move |address| {
            provoke(address, "/x/slow", 3000, fault);
        });
        let arrived = bench.origin.seen_at("/x").len() - before;
        // A priority frame that changes nothing is legal traffic: it costs the client its requests.
        let legal = name == "priority on itself";
        assert!(legal || arrived < 1300, "{name}: {arrived} requests reached the origin");
    }
}

#[test]
fn malformed_requests_in_a_flood_are_cut_even_unread() {
    let mut bench = Bench::new();
    let fields = [&request("GET", "/x")[..], &[("connection", "close")]].concat();
    let block = encode(&fields);
    bench.attack("malformed, unread", move |address| {
        flood(address, &[], 50_000, |n| frame(HEADERS, ALL, n * 2 + 1, &block));
    });
    assert_eq!(bench.origin.seen_at("/x").len(), 0);
}

#[test]
fn continuation_floods_are_cut() {
    let mut bench = Bench::new();
    let first = frame(HEADERS, 0, 1, &encode(&request("GET", "/x")));
    for (name, size, count) in [
        ("1 KiB", 1024, 20_000),
        ("16 KiB", 16_000, 2000),
        ("empty", 0, 200_000),
        ("1 byte", 1, 200_000),
    ] {
        let first = first.clone();
        bench.attack(name, move |address| {
            let mut field = Vec::new();
            while field.len() < size {
                crate::support::hpack::literal(&mut field, b"x-flood", &[b'a'; 100]);
            }
            field.truncate(size);
            let piece = frame(CONTINUATION, 0, 1, &field);
            flood(address, &first, count / 100, |_| piece.repeat(100));
        });
    }
    assert_eq!(bench.origin.seen_at("/x").len(), 0);
}

#[test]
fn floods_of_small_frames_harm_nobody() {
    let mut bench = Bench::new();
    let open = frame(HEADERS, END_HEADERS, 1, &encode(&request("POST", "/x")));
    let rows: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("empty data", open.clone(), frame(DATA, 0, 1, b"")),
        ("padded empty data", open.clone(), frame(DATA, 8, 1, &[0])),
        ("single bytes", open.clone(), frame(DATA, 0, 1, b"a")),
        ("ping", Vec::new(), frame(PING, 0, 0, &[1; 8])),
        ("ping ack", Vec::new(), frame(PING, ACK, 0, &[1; 8])),
        ("settings", Vec::new(), frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])),
        ("empty settings", Vec::new(), frame(SETTINGS, 0, 0, &[])),
        ("settings ack", Vec::new(), frame(SETTINGS, ACK, 0, &[])),
        ("priority", Vec::new(), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("window", open.clone(), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("unknown", Vec::new(), frame(0x42, 0, 0, b"abc")),
        ("reset again", open, frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
    ];
    for (name, first, piece) in rows {
        bench.attack(name, move |address| {
            flood(address, &first, 1000, |_| piece.repeat(100));
        });
    }
}

#[test]
fn a_client_that_leaves_mid_stream_ends_its_requests_upstream() {
    let bench = Bench::new();
    for round in 1..=10 {
        let mut frames = Frames::connect(bench.gateway.listen);
        for n in 0..10 {
            frames.headers(n * 2 + 1, &request("GET", "/stall"), true);
        }
        let arrived = || bench.origin.seen_at("/stall").len();
        assert!(eventually(|| arrived() == round * 10), "{} of round {round}", arrived());
    }
    let gone = || bench.gateway.access_lines("\"/stall\"").len();
    assert!(eventually(|| gone() == 100), "{} of 100 ended", gone());
}

#[test]
fn many_connections_that_say_only_hello_are_borne() {
    let mut bench = Bench::new();
    bench.attack("connections", |address| {
        let all: Vec<Frames> = (0..500).map(|_| Frames::connect(address)).collect();
        std::thread::sleep(Duration::from_millis(200));
        drop(all);
    });
}
