//! The control stream (RFC 9114 6.2.1, 7.2): SETTINGS first and once, the frames that belong
//! there, and no others.

use super::{Expect, Stage, ending};
use crate::support::{
    assert_none,
    h3_wire::{
        CANCEL_PUSH, CONTROL, DATA, GOAWAY, HEADERS, MAX_PUSH_ID, PUSH_PROMISE, SETTINGS, code,
        frame, frame_of, read_varint, request, varint, varint_of,
    },
    qpack_raw::section,
};

const UNEXPECTED: Expect = Expect::Close(code::FRAME_UNEXPECTED);
const MISSING: Expect = Expect::Close(code::MISSING_SETTINGS);
const SETTING: Expect = Expect::Close(code::SETTINGS_ERROR);
const BROKEN: Expect = Expect::Close(code::FRAME_ERROR);
const ID: Expect = Expect::Close(code::ID_ERROR);
const FINE: Expect = Expect::Status(200);

type Row = (&'static str, Vec<u8>, Expect);

/// SETTINGS with these pairs.
fn settings(pairs: &[(u64, u64)]) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|(id, value)| [varint(*id), varint(*value)].concat()).collect();
    frame(SETTINGS, &payload)
}

/// Empty SETTINGS and what follows.
fn then(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [&settings(&[]), bytes.as_ref()].concat()
}

/// Sends each row's bytes on a control stream that stays open.
fn run_control(rows: Vec<Row>) {
    let stage = Stage::new();
    let mut failures = Vec::new();
    for (name, bytes, expect) in rows {
        let (mut client, before) = (stage.bare(), stage.whole());
        client.uni(&[varint(CONTROL), bytes].concat());
        let outcome = if expect.closes() { ending(&client) } else { client.get("/x") };
        failures.extend(stage.verdict(name, expect, &outcome, &client, before));
    }
    assert_none(&failures);
}

#[test]
fn settings_come_first_and_once() {
    run_control(vec![
        ("goaway first", frame(GOAWAY, &[0]), MISSING),
        ("max push id first", frame(MAX_PUSH_ID, &[1]), MISSING),
        ("cancel push first", frame(CANCEL_PUSH, &[1]), MISSING),
        ("data first", frame(DATA, b"a"), MISSING),
        ("headers first", frame(HEADERS, &section(&request("GET", "/x"))), MISSING),
        ("grease first", [frame(0x21, b"g"), settings(&[])].concat(), MISSING),
        ("priority update first", frame(0xf_0700, &[0, b'u']), MISSING),
        ("settings twice", then(settings(&[])), UNEXPECTED),
        (
            "settings later again",
            then([frame(0x21, b""), settings(&[(6, 1)])].concat()),
            UNEXPECTED,
        ),
        ("settings", settings(&[]), FINE),
        (
            "settings of eight-byte integers",
            [varint_of(8, SETTINGS), varint_of(8, 0)].concat(),
            FINE,
        ),
    ]);
}

#[test]
fn settings_are_read_strictly() {
    let grease = (0x21 + 0x1f * 77, 12345);
    let many: Vec<(u64, u64)> = (0..500).map(|n| (0x21 + 0x1f * n, n)).collect();
    run_control(vec![
        ("h2 0x2", settings(&[(2, 0)]), SETTING),
        ("h2 0x3", settings(&[(3, 100)]), SETTING),
        ("h2 0x4", settings(&[(4, 65535)]), SETTING),
        ("h2 0x5", settings(&[(5, 16384)]), SETTING),
        ("h2 after another", settings(&[(6, 1000), (2, 1)]), SETTING),
        ("field section twice", settings(&[(6, 1000), (6, 1000)]), SETTING),
        ("capacity twice", settings(&[(1, 0), (7, 0), (1, 0)]), SETTING),
        ("connect twice", settings(&[(8, 1), (8, 1)]), SETTING),
        ("connect of 2", settings(&[(8, 2)]), SETTING),
        ("an id without value", frame(SETTINGS, &[6]), BROKEN),
        ("half an id", frame(SETTINGS, &[0x40]), BROKEN),
        ("half a value", frame(SETTINGS, &[6, 0x80, 0]), BROKEN),
        ("unknown and grease", settings(&[grease, (0x33, 1), (0x2b60_3742, 1)]), FINE),
        ("everything", settings(&[(1, 4096), (6, 1 << 20), (7, 100), (8, 1), grease]), FINE),
        ("the largest values", settings(&[(1, (1 << 62) - 1), (6, (1 << 62) - 1)]), FINE),
        ("no field section at all", settings(&[(6, 0)]), FINE),
        ("500 of them", settings(&many), FINE),
    ]);
}

#[test]
fn frames_of_requests_close_the_connection() {
    let promise = [&[0][..], &section(&request("GET", "/p"))].concat();
    run_control(vec![
        ("data", then(frame(DATA, b"a")), UNEXPECTED),
        ("empty data", then(frame(DATA, b"")), UNEXPECTED),
        ("headers", then(frame(HEADERS, &section(&request("GET", "/x")))), UNEXPECTED),
        ("push promise", then(frame(PUSH_PROMISE, &promise)), UNEXPECTED),
        ("h2 priority", then(frame(0x2, &[0; 5])), UNEXPECTED),
        ("h2 ping", then(frame(0x6, &[0; 8])), UNEXPECTED),
        ("h2 window update", then(frame(0x8, &[0, 0, 0, 1])), UNEXPECTED),
        ("h2 continuation", then(frame(0x9, b"")), UNEXPECTED),
        ("a data header alone", then(frame_of(DATA, 1000, b"")), UNEXPECTED),
    ]);
}

#[test]
fn push_ids_only_grow_and_nothing_was_pushed() {
    let max = |id| frame(MAX_PUSH_ID, &varint(id));
    let cancel = |id| frame(CANCEL_PUSH, &varint(id));
    run_control(vec![
        ("max push id decreases", then([max(10), max(5)].concat()), ID),
        ("max push id decreases to 0", then([max(1), max(0)].concat()), ID),
        ("cancel without max push id", then(cancel(0)), ID),
        ("cancel above max push id", then([max(4), cancel(5)].concat()), ID),
        ("cancel of what was not promised", then([max(10), cancel(5)].concat()), ID),
        ("max push id again", then([max(5), max(5)].concat()), FINE),
        ("max push id grows", then([max(5), max(500_000)].concat()), FINE),
        ("the largest max push id", then(max((1 << 62) - 1)), FINE),
    ]);
}

#[test]
fn a_goaway_of_the_client_never_grows() {
    let goaway = |id| frame(GOAWAY, &varint(id));
    run_control(vec![
        ("goaway", then(goaway(0)), FINE),
        ("goaway of any push id", then(goaway(7)), FINE),
        ("goaway shrinks", then([goaway(100), goaway(8), goaway(8)].concat()), FINE),
        ("goaway grows", then([goaway(4), goaway(8)].concat()), ID),
    ]);
}

#[test]
fn payloads_fit_their_frames() {
    run_control(vec![
        ("empty goaway", then(frame(GOAWAY, b"")), BROKEN),
        ("goaway cut", then(frame(GOAWAY, &[0x40])), BROKEN),
        ("goaway and more", then(frame(GOAWAY, &[0, 0])), BROKEN),
        ("empty max push id", then(frame(MAX_PUSH_ID, b"")), BROKEN),
        ("max push id cut", then(frame(MAX_PUSH_ID, &[0x80, 0, 0])), BROKEN),
        ("max push id and more", then(frame(MAX_PUSH_ID, &[1, 2])), BROKEN),
        ("empty cancel push", then(frame(CANCEL_PUSH, b"")), BROKEN),
        ("cancel push and more", then(frame(CANCEL_PUSH, &[0, 0])), BROKEN),
    ]);
}

#[test]
fn unknown_frames_are_skipped() {
    run_control(vec![
        ("empty", then(frame(0x21, b"")), FINE),
        ("some", then(frame(0x21 + 0x1f, b"hello").repeat(50)), FINE),
        ("64 KiB", then(frame(0x21, &vec![0; 1 << 16])), FINE),
        ("one that never ends", then(frame_of(0x21, 1 << 40, b"abc")), FINE),
        ("priority update", then(frame(0xf_0700, &[0, b'u', b'=', b'1'])), FINE),
        (
            "a known one too long",
            then(frame_of(GOAWAY, 1 << 20, &[0; 5000])),
            Expect::Close(code::EXCESSIVE_LOAD),
        ),
        (
            "settings too long",
            frame_of(SETTINGS, 1 << 30, &[0x21; 6000]),
            Expect::Close(code::EXCESSIVE_LOAD),
        ),
        ("1 MiB of small ones", then(frame(0x21, b"").repeat(1 << 18)), FINE),
    ]);
}

#[test]
fn the_gateway_opens_what_it_must_and_nothing_else() {
    let stage = Stage::new();
    let client = stage.client();
    assert_eq!(client.get("/x").status(), 200);
    let opened = client.opened();
    let mut types = Vec::new();
    for bytes in &opened {
        let (kind, at) = read_varint(bytes, 0).expect("a whole type");
        types.push(kind);
        if kind == CONTROL {
            judge_settings(&bytes[at..]);
        }
    }
    types.sort_unstable();
    assert!(types.contains(&CONTROL), "{types:?}");
    types.dedup();
    assert_eq!(types.len(), opened.len(), "a stream type twice");
    assert!(types.iter().all(|t| matches!(t, 0 | 2 | 3 | 0x21..)), "{types:?}");
    let bidirectional = crate::support::h3_raw::run(async {
        let wait = std::time::Duration::from_millis(100);
        tokio::time::timeout(wait, client.connection.accept_bi()).await
    });
    assert!(bidirectional.is_err(), "the gateway opened a request stream");
}

/// The gateway's SETTINGS: the first frame, no pair twice, none of HTTP/2, no dynamic table.
fn judge_settings(bytes: &[u8]) {
    let (kind, at) = read_varint(bytes, 0).unwrap();
    let (length, mut at) = read_varint(bytes, at).unwrap();
    assert_eq!(kind, SETTINGS);
    let end = at + usize::try_from(length).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    while at < end {
        let (id, after) = read_varint(bytes, at).unwrap();
        let (value, after) = read_varint(bytes, after).unwrap();
        assert!(seen.insert(id, value).is_none(), "{id:#x} twice");
        at = after;
    }
    assert_eq!(at, end, "SETTINGS does not fit its length");
    assert!((2..=5).all(|id| !seen.contains_key(&id)), "{seen:x?}");
    assert!(seen.get(&1).is_none_or(|capacity| *capacity == 0), "{seen:x?}");
    assert!(seen.get(&7).is_none_or(|blocked| *blocked == 0), "{seen:x?}");
    assert!(seen.contains_key(&6), "no bound on field sections: {seen:x?}");
    assert_eq!(read_varint(bytes, end), None, "more than SETTINGS");
}
