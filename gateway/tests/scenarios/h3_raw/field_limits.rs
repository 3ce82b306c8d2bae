//! Field sections too long or of too many fields: refused before they cost memory.

use std::time::Duration;

use super::{Expect, Row, Stage, run_rows};
use crate::support::{
    h3_raw::{Raw, Tuning, run},
    h3_wire::{DATA, HEADERS, frame, frame_of, headers, request},
    hpack::{fold, integer},
    qpack_raw::{indexed, literal, section},
};

const TOO_LARGE: Expect = Expect::Status(431);
const FINE: Expect = Expect::Status(200);

/// A request with so many equal fields.
fn many(name: &[u8], value: &[u8], count: usize) -> Vec<u8> {
    let mut block = section(&request("GET", "/x"));
    for _ in 0..count {
        literal(&mut block, name, value);
    }
    frame(HEADERS, &block)
}

/// A request with so many references to entry 85, the longest of the static table.
fn references(count: usize) -> Vec<u8> {
    let mut block = section(&request("GET", "/x"));
    for _ in 0..count {
        indexed(&mut block, 85);
    }
    frame(HEADERS, &block)
}

/// A request with one value of so many letters, five bits each in Huffman's code.
fn blown(letters: usize) -> Vec<u8> {
    let mut block = section(&request("GET", "/x"));
    let text = fold(&vec![b'a'; letters]);
    block.extend_from_slice(&[0x21, b'a']);
    integer(&mut block, 0x80, 7, text.len());
    block.extend(text);
    frame(HEADERS, &block)
}

fn rows() -> Vec<Row> {
    let path = format!("/x{}", "a".repeat(70_000));
    let long_path = headers(&request("GET", &path));
    vec![
        ("101 fields", many(b"x-a", b"b", 101), TOO_LARGE),
        ("8000 tiny fields", many(b"a", b"", 8000), TOO_LARGE),
        ("8000 crumbs", many(b"cookie", b"a=b", 8000), TOO_LARGE),
        ("100 KiB in 25 fields", many(b"x-a", &[b'b'; 4000], 25), TOO_LARGE),
        ("1 MiB in 256 fields", many(b"x-a", &[b'b'; 4096], 256), TOO_LARGE),
        ("one value of 100 KiB", many(b"x-a", &vec![b'b'; 100_000], 1), TOO_LARGE),
        ("one value of 1 MiB", many(b"x-a", &vec![b'b'; 1 << 20], 1), TOO_LARGE),
        ("one name of 100 KiB", many(&vec![b'n'; 100_000], b"", 1), TOO_LARGE),
        ("600 references", references(600), TOO_LARGE),
        ("30 000 references", references(30_000), TOO_LARGE),
        ("Huffman's 60 KiB", blown(98_000), TOO_LARGE),
        ("Huffman's 640 KiB", blown(1 << 20), TOO_LARGE),
        ("a long path", long_path, TOO_LARGE),
    ]
}

#[test]
fn a_section_over_the_limit_is_refused() {
    run_rows(rows());
}

#[test]
fn a_section_within_the_limit_passes() {
    run_rows(vec![
        ("80 fields", many(b"x-a", b"b", 80), FINE),
        ("30 KiB", many(b"x-a", &[b'b'; 1500], 20), FINE),
        ("crumbs", many(b"cookie", b"a=b", 80), FINE),
        ("50 references", references(50), FINE),
        ("Huffman's 20 KiB", blown(32_000), FINE),
    ]);
}

#[test]
fn trailers_over_the_limit_do_not_pass() {
    let stage = Stage::new();
    let mut block = vec![0, 0];
    for _ in 0..8000 {
        literal(&mut block, b"x-a", b"bbbbbbbbbbbbbbbb");
    }
    let post = headers(&request("POST", "/x"));
    let bytes = [post, frame(DATA, b"hello"), frame(HEADERS, &block)].concat();
    crate::support::assert_none(&stage.judge("trailers", &bytes, super::SPOILED));
    assert_eq!(stage.whole(), 0);
}

#[test]
fn sections_held_open_cost_little_memory() {
    let stage = Stage::new();
    for (name, claim) in [("what fits", 32_000u64), ("more than fits", 1 << 30)] {
        let body = vec![0x21; 31_000];
        let head = frame_of(HEADERS, claim, &body);
        stage.attack(name, move |address, tuning| {
            let clients: Vec<Raw> = connect(address, &tuning, 3);
            let mut held = Vec::new();
            for client in &clients {
                for _ in 0..100 {
                    let Ok(mut stream) = client.try_bi() else { break };
                    let _ = run(async {
                        let write = stream.send.write_all(&head);
                        tokio::time::timeout(Duration::from_millis(200), write).await
                    });
                    held.push(stream);
                }
            }
            std::thread::sleep(Duration::from_millis(300));
        });
    }
}

#[test]
fn refused_sections_in_a_flood_cost_little() {
    let stage = Stage::new();
    let bombs = [
        ("tiny fields", many(b"a", b"", 8000)),
        ("references", references(30_000)),
        ("Huffman", blown(1 << 19)),
        ("malformed", headers(&[&request("GET", "/x")[..], &[("connection", "close")]].concat())),
    ];
    for (name, bomb) in bombs {
        stage.attack(name, move |address, tuning| {
            let mut unread = Vec::new();
            for client in connect(address, &tuning, 2) {
                for _ in 0..60 {
                    let Ok(mut stream) = client.try_bi() else { break };
                    stream.write(&bomb).finish();
                    unread.push(stream);
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        });
    }
    assert_eq!(stage.whole(), 0);
}

fn connect(address: std::net::SocketAddr, tuning: &Tuning, count: usize) -> Vec<Raw> {
    (0..count).map(|_| Raw::try_connect(address, tuning).unwrap().greet()).collect()
}
