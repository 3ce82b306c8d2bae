use proptest::prelude::*;

use super::*;

fn encoded(text: &[u8]) -> BytesMut {
    let mut out = BytesMut::from(&b"before"[..]);
    encode(text, &mut out);
    assert_eq!(out.len() - 6, encoded_length(text));
    out.split_off(6)
}

fn decoded(bytes: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let mut out = BytesMut::from(&b"before"[..]);
    let result = decode(bytes, usize::MAX, &mut out);
    assert_eq!(out[..6], b"before"[..]);
    assert!(result.is_ok() || out.len() == 6);
    result.map(|()| out[6..].to_vec())
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Bit by bit, from the codes alone.
fn decoded_slowly(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut text, mut code, mut length) = (Vec::new(), 0_u32, 0_u8);
    for i in 0..bytes.len() * 8 {
        code = code << 1 | u32::from(bytes[i / 8] >> (7 - i % 8) & 1);
        length += 1;
        if let Some(symbol) = (0..SYMBOLS).find(|s| BITS[*s] == length && CODES[*s] == code) {
            text.push(u8::try_from(symbol).ok()?);
            (code, length) = (0, 0);
        }
    }
    (length < 8 && code == (1 << length) - 1).then_some(text)
}

#[test]
fn codes_are_those_of_the_rfc() {
    // RFC 7541 appendix B: the first, the last, and one of many a length.
    let table: &[(usize, u32, u8)] = &[
        (0, 0x1ff8, 13),
        (10, 0x3fff_fffc, 30),
        (22, 0x3fff_fffe, 30),
        (usize::from(b' '), 0x14, 6),
        (usize::from(b'0'), 0x0, 5),
        (usize::from(b':'), 0x5c, 7),
        (usize::from(b'Z'), 0xfd, 8),
        (usize::from(b'\\'), 0x7_fff0, 19),
        (usize::from(b'z'), 0x7b, 7),
        (usize::from(b'~'), 0x1ffd, 13),
        (128, 0xf_ffe6, 20),
        (199, 0x1ff_ffec, 25),
        (249, 0xfff_fffe, 28),
        (255, 0x3ff_ffee, 26),
        (256, 0x3fff_ffff, 30),
    ];
    for (symbol, code, bits) in table {
        assert_eq!((CODES[*symbol], BITS[*symbol]), (*code, *bits), "{symbol}");
    }
}

#[test]
fn strings_are_those_of_the_rfc() {
    // RFC 7541 appendices C.4 and C.6.
    for (text, bytes) in [
        ("", ""),
        ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
        ("no-cache", "a8eb10649cbf"),
        ("custom-key", "25a849e95ba97d7f"),
        ("custom-value", "25a849e95bb8e8b4bf"),
        ("302", "6402"),
        ("307", "640eff"),
        ("private", "aec3771a4b"),
        ("gzip", "9bd9ab"),
        ("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
        ("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
        (
            "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ),
    ] {
        assert_eq!(encoded(text.as_bytes()), hex(bytes), "{text}");
        assert_eq!(decoded(&hex(bytes)), Ok(text.as_bytes().to_vec()), "{text}");
    }
}

#[test]
fn every_byte_survives() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(decoded(&encoded(&all)), Ok(all.clone()));
    for byte in all {
        assert_eq!(decoded(&encoded(&[byte])), Ok(vec![byte]));
    }
}

#[test]
fn bad_padding_and_eos_are_refused() {
    // "0" is five zeros, "a" is 00011.
    assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()));
    for bytes in [
        &[0b0000_0110][..],                     // padding not of ones
        &[0b0000_0000],                         // nor this
        &[0b0000_0111, 0xff],                   // more than seven bits of it
        &[0xff],                                // eight bits
        &[0xff, 0xff, 0xff, 0xff],              // EOS
        &[0xff, 0xff, 0xff, 0xfc, 0, 0, 0, 0],  // EOS, then more
        &[0b0000_0111, 0xff, 0xff, 0xff, 0xff], // EOS behind a symbol
        &[0xff, 0xff, 0xff, 0xf0],              // cut off within a long code
        &[0xff, 0xfe],                          // and within another
    ] {
        assert_eq!(decoded(bytes), Err(Undecodable::Garbage), "{bytes:x?}");
    }
}

#[test]
fn no_more_is_decoded_than_allowed() {
    let bytes = encoded(&[b'0'; 100]);
    for limit in [0, 1, 50, 98, 99] {
        let mut out = BytesMut::new();
        assert_eq!(decode(&bytes, limit, &mut out), Err(Undecodable::TooLong), "{limit}");
        assert!(out.is_empty());
        assert!(out.capacity() <= limit + 10);
    }
    for limit in [100, 101, 102, 1000] {
        let mut out = BytesMut::new();
        assert_eq!(decode(&bytes, limit, &mut out), Ok(()), "{limit}");
        assert_eq!(out.len(), 100);
    }
}

proptest! {
    #[test]
    fn reads_what_it_wrote(text: Vec<u8>) {
        prop_assert_eq!(decoded(&encoded(&text)), Ok(text));
    }

    #[test]
    fn both_ways_to_write_are_one(
        printable in "[ -~]{0,128}",
        any in proptest::collection::vec(any::<u8>(), 0..128),
        pick: bool,
    ) {
        let text = if pick { printable.into_bytes() } else { any };
        let mut out = vec![0; text.len()];
        let long = encoded(&text);
        match encode_shorter(&text, &mut out) {
            Some(length) => prop_assert_eq!(&out[..length], &long[..]),
            None => prop_assert!(long.len() >= text.len()),
        }
    }

    #[test]
    fn reads_as_bit_by_bit(bytes: Vec<u8>) {
        prop_assert_eq!(decoded(&bytes).ok(), decoded_slowly(&bytes));
    }

    /// Random bytes soon break the code; the front of a good string with a changed end does not.
    #[test]
    fn reads_ends_as_bit_by_bit(text in "[ -~]{0,20}", end: [u8; 3], cut in 0_usize..4) {
        let mut bytes = encoded(text.as_bytes()).to_vec();
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes.extend(&end[..cut]);
        prop_assert_eq!(decoded(&bytes).ok(), decoded_slowly(&bytes));
    }
}
