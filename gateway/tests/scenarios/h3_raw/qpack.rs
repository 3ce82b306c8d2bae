//! Field sections as QPACK writes them (RFC 9204): with a dynamic table of no capacity, each
//! reference to it is a fault, and what cannot be decoded ends the connection.

use super::{Expect, post, run_rows};
use crate::support::{
    h3_wire::{DATA, HEADERS, code, frame, headers, request},
    hpack::{fold, integer},
    qpack_raw::{PREFIX, huffman_section, indexed, literal, named, section},
};

const FAILED: Expect = Expect::Close(code::QPACK_DECOMPRESSION_FAILED);
const FINE: Expect = Expect::Status(200);

/// `:method GET`, `:scheme https`, `:authority` and `:path` of `/x`.
fn base() -> Vec<u8> {
    let mut block = PREFIX.to_vec();
    indexed(&mut block, 17);
    indexed(&mut block, 23);
    named(&mut block, 0, b"edge.test");
    named(&mut block, 1, b"/x");
    block
}

/// An ordinary request whose last field line is this.
fn and(line: &[u8]) -> Vec<u8> {
    frame(HEADERS, &[&base(), line].concat())
}

/// An ordinary request behind this prefix.
fn behind(prefix: &[u8]) -> Vec<u8> {
    frame(HEADERS, &[prefix, &base()[2..]].concat())
}

/// A literal with a name of one byte and this value, Huffman's bit set.
fn coded(value: &[u8]) -> Vec<u8> {
    let mut line = vec![0x21, b'a'];
    integer(&mut line, 0x80, 7, value.len());
    line.extend_from_slice(value);
    line
}

/// An integer of ten continuation bytes behind `first`.
fn endless(first: u8) -> Vec<u8> {
    [&[first][..], &[0xff; 10], &[0x01]].concat()
}

#[test]
fn references_to_a_dynamic_table_close_the_connection() {
    run_rows(vec![
        ("one insert required", behind(&[1, 0]), FAILED),
        ("two inserts required", behind(&[2, 0]), FAILED),
        ("many inserts required", behind(&[0xff, 0x80, 0x01, 0]), FAILED),
        ("a required count without end", behind(&[&endless(0xff)[..], &[0]].concat()), FAILED),
        ("a base below zero", behind(&[0, 0x80]), FAILED),
        ("a base far below zero", behind(&[0, 0xff, 0x05]), FAILED),
        ("indexed", and(&[0x80]), FAILED),
        ("indexed, large", and(&[0xbf, 0x20]), FAILED),
        ("indexed post-base", and(&[0x10]), FAILED),
        ("indexed post-base, large", and(&[0x1f, 0x20]), FAILED),
        ("name", and(&[0x40, 1, b'b']), FAILED),
        ("name, never indexed", and(&[0x60, 1, b'b']), FAILED),
        ("name post-base", and(&[0x00, 1, b'b']), FAILED),
        ("name post-base, never indexed", and(&[0x08, 1, b'b']), FAILED),
    ]);
}

#[test]
fn what_cannot_be_decoded_closes_the_connection() {
    run_rows(vec![
        ("an empty section", frame(HEADERS, b""), FAILED),
        ("half a prefix", frame(HEADERS, &[0]), FAILED),
        ("a prefix without end", frame(HEADERS, &[0, 0x7f]), FAILED),
        ("static 99", and(&[0xff, 36]), FAILED),
        ("static 100 000", and(&[0xff, 0xe1, 0x8c, 0x06]), FAILED),
        ("static without end", and(&endless(0xff)), FAILED),
        ("name of static 99", and(&[0x5f, 84, 1, b'b']), FAILED),
        ("name of static without end", and(&endless(0x5f)), FAILED),
        ("index cut", and(&[0xff]), FAILED),
        ("index cut later", and(&[0xff, 0x80]), FAILED),
        ("name longer than the section", and(&[0x27, 100, b'a']), FAILED),
        ("name length without end", and(&endless(0x27)), FAILED),
        ("value longer than the section", and(&[0x21, b'a', 0x0a, b'b']), FAILED),
        ("value length without end", and(&[&[0x21, b'a'][..], &endless(0x7f)].concat()), FAILED),
        (
            "value length of 2^62",
            and(&[0x21, b'a', 0x7f, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]),
            FAILED,
        ),
        ("no value", and(&[0x21, b'a']), FAILED),
        ("no value, static name", and(&[0x51]), FAILED),
        ("no name", and(&[0x23]), FAILED),
    ]);
}

#[test]
fn bad_huffman_closes_the_connection() {
    let padded = |last: u8| {
        let mut text = fold(b"bb");
        *text.last_mut().unwrap() = last;
        text
    };
    // Twelve bits, and four of padding.
    let whole = fold(b"bb");
    let held = *whole.last().unwrap();
    run_rows(vec![
        ("sound", and(&coded(&whole)), FINE),
        ("padding of zeros", and(&coded(&padded(held & 0xf0))), FAILED),
        ("padding of a byte", and(&coded(&[&whole[..], &[0xff]].concat())), FAILED),
        ("nothing but padding", and(&coded(&[0xff])), FAILED),
        ("the end symbol", and(&coded(&[0xff; 4])), FAILED),
        ("the end symbol inside", and(&coded(&[&[0xff; 4][..], &whole].concat())), FAILED),
        ("a symbol cut", and(&coded(&[0xfe])), FAILED),
        ("in a name", and(&[0x29, 0x00, 1, b'b']), FAILED),
    ]);
}

#[test]
fn a_fault_in_trailers_closes_the_connection() {
    let with = |block: &[u8]| [post(), frame(DATA, b"hello"), frame(HEADERS, block)].concat();
    run_rows(vec![
        ("an empty section", with(b""), FAILED),
        ("inserts required", with(&[1, 0]), FAILED),
        ("dynamic", with(&[0, 0, 0x80]), FAILED),
        ("static 99", with(&[0, 0, 0xff, 36]), FAILED),
        ("huffman", with(&[&PREFIX[..], &coded(&[0xff])].concat()), FAILED),
    ]);
}

#[test]
fn every_sound_form_is_read() {
    let fields = [&request("GET", "/x")[..], &[("x-a", "hello"), ("x-b", "")]].concat();
    let mut names = base();
    named(&mut names, 95, b"test/1.0");
    named(&mut names, 31, b"gzip");
    indexed(&mut names, 29);
    indexed(&mut names, 72);
    let mut never = base();
    never.extend_from_slice(&[0x7f, 80, 4]);
    never.extend_from_slice(b"test");
    never.extend_from_slice(&[0x31, b'a', 1, b'b']);
    let mut long = base();
    literal(&mut long, &[b'n'; 200], &[b'v'; 300]);
    run_rows(vec![
        ("literals", headers(&fields), FINE),
        ("huffman", frame(HEADERS, &huffman_section(&fields)), FINE),
        ("static", frame(HEADERS, &base()), FINE),
        ("static names", frame(HEADERS, &names), FINE),
        ("never indexed", frame(HEADERS, &never), FINE),
        ("long strings", frame(HEADERS, &long), FINE),
        ("a base that means nothing", behind(&[0, 5]), FINE),
        ("empty huffman", and(&[0x21, b'a', 0x80]), FINE),
        ("every byte a value may have", and(&every_byte()), FINE),
    ]);
}

/// A literal whose value holds each legal byte, in Huffman's code.
fn every_byte() -> Vec<u8> {
    let legal: Vec<u8> = (0x21..=0x7e).chain(0x80..=0xff).collect();
    coded(&fold(&legal))
}

#[test]
fn huffman_arrives_as_it_was_meant() {
    let stage = super::Stage::new();
    let legal: Vec<u8> = (0x21..=0x7e).chain(0x80..=0xff).collect();
    assert_eq!(stage.client().exchange(&and(&every_byte())).status(), 200);
    let head = stage.origin.completed("/x").head;
    assert!(head.windows(legal.len()).any(|w| w == legal), "{}", String::from_utf8_lossy(&head));
    let fields = [&request("GET", "/y?q=%20~")[..], &[("x-a", "~!@#$%^&*()_+ {}|<>?")]].concat();
    let outcome = stage.client().exchange(&frame(HEADERS, &huffman_section(&fields)));
    assert_eq!(outcome.status(), 200, "{outcome:?}");
    let seen = stage.origin.completed("/y");
    assert_eq!(seen.target, "/y?q=%20~");
    assert_eq!(seen.field("x-a"), Some("~!@#$%^&*()_+ {}|<>?"));
    // The plainest form of the same is no different.
    let outcome = stage.client().exchange(&frame(HEADERS, &section(&fields)));
    assert_eq!(outcome.status(), 200, "{outcome:?}");
}
