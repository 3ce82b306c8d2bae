use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

type Fields = Vec<(Vec<u8>, Vec<u8>, bool)>;

/// All the fields of a block, with whether they are never to be indexed.
fn read(block: &[u8]) -> Result<Fields, Code> {
    let mut lines = Lines::new(block)?;
    let mut fields = Vec::new();
    let text = |text: Text<'_>| {
        let mut out = BytesMut::new();
        text.append_to(usize::MAX, &mut out).map(|_| out.to_vec())
    };
    while let Some(line) = lines.next()? {
        let entry = |index| {
            let (name, value) = static_table::text(index);
            (name.as_bytes().to_vec(), value.as_bytes().to_vec())
        };
        fields.push(match line {
            Line::Static(index) => (entry(index).0, entry(index).1, false),
            Line::StaticName { index, value, never_indexed } => {
                (entry(index).0, text(value)?, never_indexed)
            }
            Line::Literal { name, value, never_indexed } => {
                (text(name)?, text(value)?, never_indexed)
            }
        });
    }
    Ok(fields)
}

fn written(fields: &[(&str, &[u8], bool)]) -> BytesMut {
    let mut out = BytesMut::new();
    encode_prefix(&mut out);
    for (name, value, sensitive) in fields {
        encode(name, value, *sensitive, &mut out);
    }
    out
}

fn check(block: &[u8], expected: &[(&str, &str, bool)]) {
    let expected: Fields = expected
        .iter()
        .map(|(name, value, never)| (name.as_bytes().to_vec(), value.as_bytes().to_vec(), *never))
        .collect();
    assert_eq!(read(block), Ok(expected), "{block:x?}");
}

#[test]
fn reads_the_example_of_the_rfc() {
    // RFC 9204 appendix B.1.
    check(b"\x00\x00\x51\x0b/index.html", &[(":path", "/index.html", false)]);
}

#[test]
fn reads_every_kind_of_line() {
    check(b"\x00\x00", &[]);
    check(b"\x00\x00\xd1", &[(":method", "GET", false)]);
    check(b"\x00\x00\xff\x23", &[("x-frame-options", "sameorigin", false)]);
    check(b"\x00\x00\x5f\x50\x01a", &[("user-agent", "a", false)]);
    check(b"\x00\x00\x75\x01a", &[("cookie", "a", true)]);
    check(b"\x00\x00\x23abc\x01d", &[("abc", "d", false)]);
    check(b"\x00\x00\x33abc\x01d", &[("abc", "d", true)]);
    check(b"\x00\x00\x27\x01abcdefgh\x00", &[("abcdefgh", "", false)]);
    check(
        b"\x00\x00\x2f\x01\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x82\x64\x02",
        &[("custom-key", "302", false)],
    );
    // Any base will do.
    check(b"\x00\x7f\x11\xd1", &[(":method", "GET", false)]);
}

#[test]
fn refuses_what_it_cannot_read() {
    let refused: &[&[u8]] = &[
        b"",
        b"\x00",
        b"\x01\x00", // a required insert count
        b"\xff\x00\x00",
        b"\x00\x80",         // a negative base
        b"\x00\xff",         // a base cut off
        b"\x00\x00\x80",     // indexed, dynamic
        b"\x00\x00\x10",     // indexed, behind the base
        b"\x00\x00\x40\x00", // name of a dynamic entry
        b"\x00\x00\x60\x00",
        b"\x00\x00\x00\x00", // name of one behind the base
        b"\x00\x00\x08\x00",
        b"\x00\x00\xff\x24", // entry 99
        b"\x00\x00\x5f\x54\x00",
        b"\x00\x00\xff", // an index cut off
        b"\x00\x00\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", // or without end
        b"\x00\x00\x51", // no value
        b"\x00\x00\x51\x02a", // a value cut off
        b"\x00\x00\x23ab", // a name cut off
        b"\x00\x00\x21a", // no value
        b"\x00\x00\x51\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x7f", // a length beyond 62 bits
        b"\x00\x00\x51\x81\xff", // a bad Huffman code
        b"\x00\x00\x29\xff\x00", // in the name, too
    ];
    for block in refused {
        assert_eq!(read(block), Err(FAILED), "{block:x?}");
        assert_eq!(Lines::new(block).and_then(Lines::check), Err(FAILED), "{block:x?}");
    }
}

#[test]
fn every_entry_is_found() {
    let mut seen = HashSet::new();
    for index in 0..static_table::LENGTH {
        let (name, value) = static_table::text(index);
        assert!(seen.insert((name, value)), "{name}");
        assert_eq!(static_table::find(name, value.as_bytes()), Found::Both(index), "{name}");
        let Found::Name(first) = static_table::find(name, b"\x00") else { panic!("{name}") };
        assert_eq!(static_table::text(first).0, name);
        check(&written(&[(name, value.as_bytes(), false)]), &[(name, value, false)]);
        match static_table::field(index) {
            Some((n, v)) => assert_eq!((n.as_str(), v.as_bytes()), (name, value.as_bytes())),
            None => assert!(name.starts_with(':')),
        }
    }
    for name in ["", "x", "x-request-id", "hostname", "x-frame-option"] {
        assert_eq!(static_table::find(name, b""), Found::Nothing, "{name}");
    }
}

#[test]
fn writes_the_shortest_line() {
    assert_eq!(written(&[(":method", b"GET", false)]), b"\x00\x00\xd1"[..]);
    assert_eq!(written(&[(":status", b"302", false)]), b"\x00\x00\xff\x03"[..]);
    // Huffman coded only where that is shorter.
    assert_eq!(written(&[(":status", b"307", false)]), b"\x00\x00\x5f\x09\x03307"[..]);
    assert_eq!(written(&[(":status", b"301", false)]), b"\x00\x00\x5f\x09\x82\x64\x01"[..]);
    assert_eq!(written(&[("age", b"\x01", false)]), b"\x00\x00\x52\x01\x01"[..]);
}

#[test]
fn never_indexes_what_is_sensitive() {
    // Even where the table has it all.
    assert_eq!(written(&[("authorization", b"", true)]), b"\x00\x00\x7f\x45\x00"[..]);
    assert_eq!(written(&[("x", b"\x01", true)]), b"\x00\x00\x31x\x01\x01"[..]);
}

#[test]
fn integers_are_those_of_the_rfc() {
    // RFC 7541 appendix C.1.
    let table: &[(u64, u32, &[u8])] =
        &[(10, 5, &[0x0a]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a]), (31, 5, &[0x1f, 0])];
    for (value, prefix, bytes) in table {
        let mut out = BytesMut::new();
        integer::put(*value as usize, *prefix, 0, &mut out);
        assert_eq!(out, *bytes);
        let mut rest = *bytes;
        assert_eq!(integer::take(&mut rest, *prefix), Some(*value));
        assert!(rest.is_empty());
    }
    let largest = b"\x1f\xe0\xff\xff\xff\xff\xff\xff\xff\x3f";
    assert_eq!(integer::take(&mut &largest[..], 5), Some((1 << 62) - 1));
    let larger = b"\x1f\xe1\xff\xff\xff\xff\xff\xff\xff\x3f";
    assert_eq!(integer::take(&mut &larger[..], 5), None);
}

proptest! {
    #[test]
    fn reads_what_it_wrote(
        fields in prop::collection::vec((".{0,40}", any::<Vec<u8>>(), any::<bool>()), 0..10)
    ) {
        let fields: Vec<(&str, &[u8], bool)> =
            fields.iter().map(|(name, value, never)| (&**name, &**value, *never)).collect();
        let expected: Fields =
            fields.iter().map(|(n, v, never)| (n.as_bytes().into(), v.to_vec(), *never)).collect();
        prop_assert_eq!(read(&written(&fields)), Ok(expected));
    }

    #[test]
    fn integers_survive(value: u32, prefix in 3_u32..=8) {
        let mut out = BytesMut::new();
        integer::put(value as usize, prefix, 0, &mut out);
        let mut rest = &out[..];
        prop_assert_eq!(integer::take(&mut rest, prefix), Some(u64::from(value)));
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn no_block_is_read_in_two_ways(block: Vec<u8>) {
        let block = [&[0, 0], &block[..]].concat();
        prop_assert_eq!(read(&block).err(), Lines::new(&block).and_then(Lines::check).err());
    }
}
