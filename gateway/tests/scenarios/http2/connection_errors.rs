//! Frames no peer may send (RFC 9113 4 to 6, RFC 7541): the connection or the stream ends.

use super::Bench;
use crate::support::{
    assert_none,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, PRIORITY,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, request,
    },
    hpack::encode,
};

const ALL: u8 = END_HEADERS | END_STREAM;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

/// Frames in the wrong place, which end the connection, with the codes RFC 9113 names for them.
fn fatal() -> Vec<(&'static str, Vec<u8>, &'static [u32])> {
    let block = encode(&request("GET", "/x"));
    let open = frame(HEADERS, END_HEADERS, 1, &encode(&request("POST", "/x")));
    let then = |first: &[u8], second: Vec<u8>| [first, &second].concat();
    let protocol: &[u32] = &[PROTOCOL_ERROR];
    let closed: &[u32] = &[PROTOCOL_ERROR, 5];
    vec![
        ("data on 0", frame(DATA, 0, 0, b"a"), protocol),
        ("headers on 0", frame(HEADERS, ALL, 0, &block), protocol),
        ("continuation on 0", frame(CONTINUATION, ALL, 0, &block), protocol),
        ("rst on 0", frame(RST_STREAM, 0, 0, &[0; 4]), protocol),
        ("priority on 0", frame(PRIORITY, 0, 0, &[0; 5]), protocol),
        ("settings on 1", frame(SETTINGS, 0, 1, &[]), protocol),
        ("ping on 1", frame(PING, 0, 1, &[0; 8]), protocol),
        ("goaway on 1", frame(GOAWAY, 0, 1, &[0; 8]), protocol),
        ("even stream", frame(HEADERS, ALL, 2, &block), protocol),
        ("data on idle", frame(DATA, END_STREAM, 1, b"a"), closed),
        ("rst on idle", frame(RST_STREAM, 0, 1, &[0; 4]), protocol),
        ("window on idle", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), protocol),
        ("lone continuation", frame(CONTINUATION, ALL, 1, &block), protocol),
        ("push", frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], &block[..]].concat()), protocol),
        (
            "headers then data",
            then(&frame(HEADERS, 0, 1, &block), frame(DATA, 0, 1, b"a")),
            protocol,
        ),
        (
            "headers then ping",
            then(&frame(HEADERS, 0, 1, &block), frame(PING, 0, 0, &[0; 8])),
            protocol,
        ),
        (
            "headers then other",
            then(&frame(HEADERS, 0, 1, &block), frame(CONTINUATION, 4, 3, &block)),
            protocol,
        ),
        (
            "headers then unknown",
            then(&frame(HEADERS, 0, 1, &block), frame(0x42, 0, 1, b"a")),
            protocol,
        ),
        ("padding over length", then(&open, frame(DATA, 8, 1, &[200, b'a'])), protocol),
        (
            "padding over headers",
            frame(HEADERS, ALL | 8, 1, &[&[250], &block[..]].concat()),
            protocol,
        ),
    ]
}

/// The same for sizes, settings, windows and field compression.
fn fatal_values() -> Vec<(&'static str, Vec<u8>, &'static [u32])> {
    let open = frame(HEADERS, END_HEADERS, 1, &encode(&request("POST", "/x")));
    let settings = |id: u16, value: u32| {
        let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, &payload)
    };
    let then = |first: &[u8], second: Vec<u8>| [first, &second].concat();
    let max = 0x7fff_ffffu32.to_be_bytes();
    let protocol: &[u32] = &[PROTOCOL_ERROR];
    let size: &[u32] = &[FRAME_SIZE_ERROR];
    let either: &[u32] = &[PROTOCOL_ERROR, FRAME_SIZE_ERROR];
    vec![
        ("settings of 5", frame(SETTINGS, 0, 0, &[0; 5]), size),
        ("settings ack with payload", frame(SETTINGS, ACK, 0, &[0; 6]), size),
        ("ping of 7", frame(PING, 0, 0, &[0; 7]), size),
        ("rst of 3", then(&open, frame(RST_STREAM, 0, 1, &[0; 3])), size),
        ("window of 3", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), size),
        ("goaway of 4", frame(GOAWAY, 0, 0, &[0; 4]), either),
        ("frame over the maximum", frame(HEADERS, ALL, 1, &vec![0; 70_000]), size),
        ("push setting 2", settings(2, 2), protocol),
        ("window setting too large", settings(4, 0x8000_0000), &[FLOW_CONTROL_ERROR]),
        ("frame size setting too small", settings(5, 100), protocol),
        ("frame size setting too large", settings(5, 0x0100_0000), protocol),
        ("window update 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), protocol),
        ("window overflow", frame(WINDOW_UPDATE, 0, 0, &max), &[FLOW_CONTROL_ERROR]),
        ("index 0", frame(HEADERS, ALL, 1, &[0x80]), &[COMPRESSION_ERROR]),
        ("index out of range", frame(HEADERS, ALL, 1, &[0xff, 0x80, 0x01]), &[COMPRESSION_ERROR]),
        ("endless integer", frame(HEADERS, ALL, 1, &[0xff; 20]), &[COMPRESSION_ERROR]),
        ("string past the end", frame(HEADERS, ALL, 1, &[0, 100, b'a']), &[COMPRESSION_ERROR]),
        (
            "table size over the setting",
            frame(HEADERS, ALL, 1, &[0x3f, 0xff, 0xff, 0x7f]),
            &[COMPRESSION_ERROR],
        ),
        (
            "bad huffman",
            frame(HEADERS, ALL, 1, &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'a']),
            &[COMPRESSION_ERROR],
        ),
    ]
}

#[test]
fn illegal_frames_end_the_connection_with_their_code() {
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    for (name, bytes, codes) in fatal().into_iter().chain(fatal_values()) {
        let mut frames = Frames::connect(bench.gateway.listen);
        let _ = frames.raw(&bytes);
        match frames.farewell() {
            Ok(None) => {}
            // PROTOCOL_ERROR is the general word for each of them; the library likes it.
            Ok(Some(code)) if codes.contains(&code) || code == PROTOCOL_ERROR => {}
            other => failures.push(format!("{name}: {other:?}, want {codes:?}")),
        }
        failures.extend(bench.after(name).err());
    }
    if bench.arrived() != 0 {
        failures.push(format!("arrived: {:?}", bench.origin.seen_at("/x")));
    }
    assert_none(&failures);
}

#[test]
fn a_stream_number_is_used_once_and_only_upwards() {
    let mut bench = Bench::new();
    for second in [1, 3] {
        let mut frames = Frames::connect(bench.gateway.listen);
        assert_eq!(frames.get(5, "/x").status(), 200);
        frames.headers(second, &request("GET", "/lower"), true);
        let end = frames.farewell();
        assert!(end.is_ok(), "stream {second} after 5: {end:?}");
        bench.after("lower stream").unwrap();
    }
    assert!(bench.origin.seen_at("/lower").is_empty());
}

#[test]
fn what_a_peer_must_ignore_is_ignored() {
    let bench = Bench::new();
    let mut frames = Frames::connect(bench.gateway.listen);
    let ignored = [
        frame(0x42, 0xff, 0, b"unknown type"),
        frame(0x42, 0xff, 1, b"unknown type"),
        frame(SETTINGS, 0, 0, &[0xff, 0xff, 0, 0, 0, 1]),
        frame(PING, 0xfe, 0, &[1; 8]),
        frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 10]),
        frame(WINDOW_UPDATE, 0, 0, &[0x80, 0, 0, 1]),
        frame(PING, ACK, 0, &[7; 8]),
    ];
    for bytes in ignored {
        frames.raw(&bytes).unwrap();
    }
    assert_eq!(frames.get(1, "/x").text(), "GET /x 0");
}

#[test]
fn more_streams_than_allowed_are_refused_without_harm() {
    let mut bench = Bench::new();
    let mut frames = Frames::connect(bench.gateway.listen);
    for n in 0..150 {
        frames.headers(n * 2 + 1, &request("GET", "/stall"), true);
    }
    let outcome = frames.outcome(299);
    assert!(super::is_refusal(&outcome), "{outcome:?}");
    bench.after("too many streams").unwrap();
    assert!(
        bench.origin.seen_at("/stall").len() <= 100,
        "{}",
        bench.origin.seen_at("/stall").len()
    );
}
