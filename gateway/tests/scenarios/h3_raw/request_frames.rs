//! Frames on a request stream (RFC 9114 4.1, 7): their order, kinds and lengths.

use super::{Expect, get, post, run_rows};
use crate::support::{
    h3_wire::{
        CANCEL_PUSH, DATA, GOAWAY, HEADERS, MAX_PUSH_ID, PUSH_PROMISE, SETTINGS, code, frame,
        frame_of, headers, request, varint, varint_of,
    },
    qpack_raw::section,
};

const UNEXPECTED: Expect = Expect::Close(code::FRAME_UNEXPECTED);
const BROKEN: Expect = Expect::Close(code::FRAME_ERROR);
const INCOMPLETE: Expect = Expect::Reset(code::REQUEST_INCOMPLETE);
const FINE: Expect = Expect::Status(200);

fn data() -> Vec<u8> {
    frame(DATA, b"hello")
}

fn trailers() -> Vec<u8> {
    headers(&[("x-sum", "1")])
}

/// A frame of a type that nobody knows (RFC 9114 7.2.8).
fn grease(length: usize) -> Vec<u8> {
    frame(0x21 + 0x1f * 1000, &vec![b'g'; length])
}

fn request_with(more: &[Vec<u8>]) -> Vec<u8> {
    [post(), more.concat()].concat()
}

#[test]
fn frames_out_of_order_close_the_connection() {
    run_rows(vec![
        ("data before headers", data(), UNEXPECTED),
        ("data, then headers", [data(), get()].concat(), UNEXPECTED),
        ("empty data before headers", frame(DATA, b""), UNEXPECTED),
        ("data header alone", frame_of(DATA, 10, b""), UNEXPECTED),
        ("grease, then data", [grease(3), data()].concat(), UNEXPECTED),
        ("headers after trailers", request_with(&[data(), trailers(), trailers()]), UNEXPECTED),
        ("data after trailers", request_with(&[data(), trailers(), data()]), UNEXPECTED),
        (
            "empty data after trailers",
            request_with(&[data(), trailers(), frame(DATA, b"")]),
            UNEXPECTED,
        ),
        ("three sections, no data", request_with(&[trailers(), trailers()]), UNEXPECTED),
        ("data after trailers alone", request_with(&[trailers(), data()]), UNEXPECTED),
        (
            "data after trailers and grease",
            request_with(&[trailers(), grease(9), data()]),
            UNEXPECTED,
        ),
    ]);
}

#[test]
fn frames_of_other_streams_close_the_connection() {
    let kinds = [
        ("settings", frame(SETTINGS, b"")),
        ("goaway", frame(GOAWAY, &[0])),
        ("max push id", frame(MAX_PUSH_ID, &[1])),
        ("cancel push", frame(CANCEL_PUSH, &[0])),
        (
            "push promise",
            frame(PUSH_PROMISE, &[&[0][..], &section(&request("GET", "/p"))].concat()),
        ),
        ("h2 priority", frame(0x2, &[0; 5])),
        ("h2 ping", frame(0x6, &[0; 8])),
        ("h2 window update", frame(0x8, &[0, 0, 0, 1])),
        ("h2 continuation", frame(0x9, b"")),
    ];
    let mut rows = Vec::new();
    for (name, bytes) in &kinds {
        rows.push((*name, bytes.clone(), UNEXPECTED));
        rows.push((*name, request_with(&[bytes.clone(), data()]), UNEXPECTED));
        rows.push((*name, request_with(&[data(), bytes.clone()]), UNEXPECTED));
        rows.push((*name, request_with(&[data(), trailers(), bytes.clone()]), UNEXPECTED));
    }
    run_rows(rows);
}

#[test]
fn a_stream_that_ends_inside_a_frame_closes_the_connection() {
    run_rows(vec![
        ("headers cut", frame_of(HEADERS, 100, b"\0\0"), BROKEN),
        ("headers without payload", frame_of(HEADERS, 100, b""), BROKEN),
        ("data cut", request_with(&[frame_of(DATA, 100, b"hello")]), BROKEN),
        ("data without payload", request_with(&[frame_of(DATA, 5, b"")]), BROKEN),
        ("data without end", request_with(&[frame_of(DATA, (1 << 62) - 1, b"hello")]), BROKEN),
        ("trailers cut", request_with(&[data(), frame_of(HEADERS, 50, b"\0\0")]), BROKEN),
        ("unknown cut", request_with(&[frame_of(0x21, 50, b"gg")]), BROKEN),
        (
            "unknown cut, after trailers",
            request_with(&[trailers(), frame_of(0x21, 5, b"")]),
            BROKEN,
        ),
        ("a type alone", request_with(&[varint(DATA)]), BROKEN),
        ("half a type", request_with(&[vec![0x40]]), BROKEN),
        ("half a length", request_with(&[vec![0, 0x80, 0]]), BROKEN),
        ("a type and nothing before it", varint(HEADERS), BROKEN),
        ("half a type and nothing before it", vec![0xc0, 0, 0], BROKEN),
    ]);
}

#[test]
fn a_stream_without_a_request_is_reset() {
    run_rows(vec![
        ("nothing", vec![], INCOMPLETE),
        ("grease only", grease(10), INCOMPLETE),
        ("empty grease only", grease(0), INCOMPLETE),
        ("much grease only", grease(100_000), INCOMPLETE),
    ]);
}

#[test]
fn unknown_frames_are_skipped() {
    let whole = |between: &[u8]| {
        [between, &post(), between, &data(), between, &data(), between, &trailers(), between]
            .concat()
    };
    let high = [varint_of(8, 0x21 + 0x1f * 0x1234_5678_9abc), varint_of(8, 3), b"ggg".to_vec()];
    run_rows(vec![
        ("empty", whole(&grease(0)), FINE),
        ("one byte", whole(&grease(1)), FINE),
        ("5000 bytes", whole(&grease(5000)), FINE),
        ("64 KiB", whole(&grease(1 << 16)), FINE),
        ("a high type", whole(&high.concat()), FINE),
        ("many", whole(&grease(0).repeat(200)), FINE),
        ("alt-svc of h2", whole(&frame(0xa, b"abc")), FINE),
        ("origin", whole(&frame(0xc, b"abc")), FINE),
        ("unassigned", whole(&frame(0xf, b"abc")), FINE),
        ("priority update of another push", whole(&frame(0xf_0702, b"abc")), FINE),
        ("like a request", whole(&frame(0x21, &get())), FINE),
        ("1 MiB", [grease(1 << 20), post(), data()].concat(), FINE),
    ]);
}

#[test]
fn integers_of_any_length_are_read() {
    let block = section(&request("POST", "/x"));
    let head = |size| [varint_of(size, HEADERS), varint_of(size, block.len() as u64)].concat();
    let body = |size| [varint_of(size, DATA), varint_of(size, 5), b"hello".to_vec()].concat();
    let message = |size| [head(size), block.clone(), body(size)].concat();
    run_rows(vec![
        ("two bytes", message(2), FINE),
        ("four bytes", message(4), FINE),
        ("eight bytes", message(8), FINE),
        ("many small bodies", request_with(&[frame(DATA, b"a").repeat(1000)]), FINE),
        ("empty bodies", request_with(&[frame(DATA, b"").repeat(100), data()]), FINE),
        ("a body of empty frames", request_with(&[frame(DATA, b"").repeat(100)]), FINE),
        ("no body", post(), FINE),
        ("trailers and no body", request_with(&[trailers()]), FINE),
        ("empty trailers", request_with(&[data(), frame(HEADERS, b"\0\0")]), FINE),
    ]);
}

#[test]
fn a_message_in_single_bytes_is_read() {
    let stage = super::Stage::new();
    let client = stage.client();
    let mut stream = client.bi();
    for byte in [grease(2), post(), data(), grease(1), data(), trailers()].concat() {
        stream.write(&[byte]);
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    assert_eq!(stream.finish().outcome().text(), "POST /x 10");
    assert_eq!(stage.origin.completed("/x").trailers, [("x-sum".to_owned(), "1".to_owned())]);
    stage.survives("single bytes", &client).unwrap();
}
