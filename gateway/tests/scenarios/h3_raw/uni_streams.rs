//! Unidirectional streams (RFC 9114 6.2, RFC 9204 4): which there may be, how often, and what
//! becomes of a connection that loses one it needs.

use super::{Expect, Stage, ending};
use crate::support::{
    assert_none,
    h3_outcome::Outcome,
    h3_raw::{client_config, run},
    h3_wire::{
        CONTROL, DECODER, ENCODER, MAX_PUSH_ID, PUSH, SETTINGS, code, frame, frame_of, varint,
        varint_of,
    },
};

const CREATION: Expect = Expect::Close(code::STREAM_CREATION_ERROR);
const CRITICAL: Expect = Expect::Close(code::CLOSED_CRITICAL_STREAM);
const ENCODING: Expect = Expect::Close(code::QPACK_ENCODER_STREAM_ERROR);
const DECODING: Expect = Expect::Close(code::QPACK_DECODER_STREAM_ERROR);
const FINE: Expect = Expect::Status(200);

/// How our side of a stream goes on after its bytes.
#[derive(Debug, Clone, Copy)]
enum Then {
    Stays,
    Ends,
    Resets,
}
use Then::{Ends, Resets, Stays};

type Row = (&'static str, Vec<(Vec<u8>, Then)>, Expect);

fn control() -> (Vec<u8>, Then) {
    ([varint(CONTROL), frame(SETTINGS, b"")].concat(), Stays)
}

/// A stream of this type that stays open.
fn stream(kind: u64, bytes: &[u8]) -> (Vec<u8>, Then) {
    ([&varint(kind), bytes].concat(), Stays)
}

fn ended(kind: u64, bytes: &[u8], then: Then) -> (Vec<u8>, Then) {
    ([&varint(kind), bytes].concat(), then)
}

fn run_streams(rows: Vec<Row>) {
    let stage = Stage::new();
    let mut failures = Vec::new();
    for (name, streams, expect) in rows {
        let (mut client, before) = (stage.bare(), stage.whole());
        for (bytes, then) in streams {
            let place = client.uni(&bytes);
            let Some(stream) = client.held(place) else { break };
            match then {
                Stays => {}
                Ends => drop(stream.finish()),
                Resets => {
                    // What was sent before the reset may still be dropped unseen: let it arrive.
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    let _ = stream.reset(0x100u32.into());
                }
            }
        }
        let outcome = if expect.closes() { ending(&client) } else { client.get("/x") };
        failures.extend(stage.verdict(name, expect, &outcome, &client, before));
    }
    assert_none(&failures);
}

#[test]
fn a_critical_stream_that_ends_closes_the_connection() {
    let settings = frame(SETTINGS, b"");
    let truncated = [settings.clone(), frame_of(MAX_PUSH_ID, 4, &[0x80])].concat();
    let mut rows = vec![
        ("control without settings ends", vec![ended(CONTROL, b"", Ends)], CRITICAL),
        ("control without settings resets", vec![ended(CONTROL, b"", Resets)], CRITICAL),
        ("control ends", vec![ended(CONTROL, &settings, Ends)], CRITICAL),
        ("control resets", vec![ended(CONTROL, &settings, Resets)], CRITICAL),
        ("control ends inside settings", vec![ended(CONTROL, &[4, 9, 6], Ends)], CRITICAL),
        ("control ends inside a frame", vec![ended(CONTROL, &truncated, Ends)], CRITICAL),
    ];
    for (kind, name) in [(ENCODER, "encoder"), (DECODER, "decoder")] {
        rows.push((name, vec![control(), ended(kind, b"", Ends)], CRITICAL));
        rows.push((name, vec![control(), ended(kind, b"", Resets)], CRITICAL));
    }
    rows.push(("encoder after use", vec![control(), ended(ENCODER, &[0x20], Ends)], CRITICAL));
    rows.push(("decoder after use", vec![control(), ended(DECODER, &[0x41], Ends)], CRITICAL));
    run_streams(rows);
}

#[test]
fn a_second_stream_of_a_kind_closes_the_connection() {
    let settings = frame(SETTINGS, b"");
    run_streams(vec![
        ("control", vec![control(), stream(CONTROL, &settings)], CREATION),
        ("control, unread type", vec![control(), stream(CONTROL, b"")], CREATION),
        (
            "control of eight bytes",
            vec![control(), ([varint_of(8, CONTROL), settings].concat(), Stays)],
            CREATION,
        ),
        ("encoder", vec![control(), stream(ENCODER, b""), stream(ENCODER, b"")], CREATION),
        ("decoder", vec![control(), stream(DECODER, b""), stream(DECODER, b"")], CREATION),
    ]);
}

#[test]
fn a_push_stream_of_a_client_closes_the_connection() {
    run_streams(vec![
        ("push", vec![control(), stream(PUSH, &[0])], CREATION),
        ("push without id", vec![control(), stream(PUSH, b"")], CREATION),
        ("push before settings", vec![stream(PUSH, &[0])], CREATION),
        (
            "push of eight bytes",
            vec![control(), ([varint_of(8, PUSH), vec![0]].concat(), Stays)],
            CREATION,
        ),
    ]);
}

#[test]
fn unknown_streams_are_ignored() {
    let grease = 0x21 + 0x1f * 1234;
    run_streams(vec![
        ("grease", vec![control(), stream(grease, b"anything")], FINE),
        ("grease of 20 000 bytes", vec![control(), stream(grease, &[b'g'; 20_000])], FINE),
        ("grease, ended", vec![control(), ended(grease, b"abc", Ends)], FINE),
        ("grease, reset", vec![control(), ended(grease, b"abc", Resets)], FINE),
        ("unassigned", vec![control(), stream(0x20, b"abc"), stream(0x4, b"a")], FINE),
        ("web transport", vec![control(), stream(0x54, &[0, b'a'])], FINE),
        ("eight bytes", vec![control(), (varint_of(8, grease), Stays)], FINE),
        ("before control", vec![stream(grease, b"abc"), control()], FINE),
        ("no bytes", vec![control(), (vec![], Ends)], FINE),
        ("no bytes, reset", vec![control(), (vec![], Resets)], FINE),
        ("part of a type", vec![control(), (vec![0x40], Stays)], FINE),
        ("part of a type, ended", vec![control(), (vec![0x40], Ends)], FINE),
        ("part of a type, reset", vec![control(), (vec![0xc0, 0, 0], Resets)], FINE),
        ("all kinds", vec![control(), stream(ENCODER, b""), stream(DECODER, b"")], FINE),
        ("no control stream yet", vec![stream(ENCODER, b""), stream(DECODER, b"")], FINE),
        ("nothing at all", vec![], FINE),
    ]);
}

#[test]
fn a_client_that_stops_the_control_stream_closes_the_connection() {
    let stage = Stage::new();
    let config = client_config(&stage.tuning);
    let (endpoint, connection) = run(async {
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let connecting = endpoint.connect_with(config, stage.gateway.listen, "edge.test");
        (endpoint, connecting.unwrap().await.unwrap())
    });
    let mut theirs = run(connection.accept_uni()).unwrap();
    theirs.stop(0x100u32.into()).unwrap();
    let end = run(connection.closed());
    assert_eq!(Outcome::lost(&end), Outcome::Closed(code::CLOSED_CRITICAL_STREAM));
    drop(endpoint);
    stage.after("stopped").unwrap();
}

#[test]
fn a_type_in_single_bytes_is_read() {
    let stage = Stage::new();
    let mut client = stage.bare();
    let place = client.uni(&[0xc0]);
    for byte in [&varint_of(8, CONTROL)[1..], &frame(SETTINGS, &[6, 0x40, 100])].concat() {
        std::thread::sleep(std::time::Duration::from_millis(2));
        let stream = client.held(place).unwrap();
        let _ = run(stream.write_all(&[byte]));
    }
    stage.survives("single bytes", &client).unwrap();
    client.uni(&control().0);
    assert_eq!(ending(&client), Outcome::Closed(code::STREAM_CREATION_ERROR));
    stage.after("single bytes").unwrap();
}

#[test]
fn an_encoder_stream_may_say_only_that_the_table_is_empty() {
    let row = |name, bytes: &[u8], expect| (name, vec![control(), stream(ENCODER, bytes)], expect);
    run_streams(vec![
        row("capacity 0", &[0x20], FINE),
        row("capacity 0 again and again", &[0x20; 300], FINE),
        row("capacity 1", &[0x21], ENCODING),
        row("capacity 4096", &[0x3f, 0xe1, 0x1f], ENCODING),
        row(
            "capacity without end",
            &[0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            ENCODING,
        ),
        row("insert with a static name", &[0xc0, 0x01, b'a'], ENCODING),
        row("insert with a dynamic name", &[0x80, 0x01, b'a'], ENCODING),
        row("insert with an unknown static name", &[0xff, 0x24, 0x01, b'a'], ENCODING),
        row("insert a literal", &[0x41, b'a', 0x01, b'b'], ENCODING),
        row("insert a huge literal", &[0x5f, 0xff, 0xff, 0xff, 0x7f], ENCODING),
        row("duplicate", &[0x00], ENCODING),
        row("capacity 0, then insert", &[0x20, 0x41, b'a', 0x01, b'b'], ENCODING),
    ]);
}

#[test]
fn a_decoder_stream_may_acknowledge_nothing() {
    let row = |name, bytes: &[u8], expect| (name, vec![control(), stream(DECODER, bytes)], expect);
    run_streams(vec![
        row("cancellation", &[0x40], FINE),
        row("cancellation of a far stream", &[0x7f, 0x80, 0x80, 0x80, 0x01], FINE),
        row("many cancellations", &[0x44; 300], FINE),
        row("half a cancellation", &[0x7f, 0x80], FINE),
        row("acknowledgement", &[0x80], DECODING),
        row("acknowledgement of a far stream", &[0xff, 0x01], DECODING),
        row("increment of 0", &[0x00], DECODING),
        row("increment of 1", &[0x01], DECODING),
        row(
            "an integer without end",
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            DECODING,
        ),
        row("cancellation, then acknowledgement", &[0x41, 0x81], DECODING),
    ]);
}
