use std::{io, net::IpAddr};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{super::prefixed::Prefixed, *};

const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = V2_SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    bytes.extend(value);
    bytes
}

/// Encodes as a proxy would; the addresses must be of one family.
fn encode_v2(source: SocketAddr, destination: SocketAddr, fields: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => block.extend(ip.octets()),
            IpAddr::V6(ip) => block.extend(ip.octets()),
        }
    }
    block.extend(source.port().to_be_bytes());
    block.extend(destination.port().to_be_bytes());
    block.extend(fields);
    v2(PROXY, if source.is_ipv4() { 0x11 } else { 0x21 }, &block)
}

fn encode_v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (a, b, p, q) = (source.ip(), destination.ip(), source.port(), destination.port());
    format!("PROXY {family} {a} {b} {p} {q}\r\n").into_bytes()
}

fn with_checksum(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut bytes = encode_v2(source, destination, &tlv(TLV_CRC32C, &[0; 4]));
    let at = bytes.len() - 4;
    let crc = checksum(&bytes, at);
    bytes[at..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn addresses() -> (SocketAddr, SocketAddr) {
    ("203.0.113.7:51000".parse().unwrap(), "198.51.100.1:443".parse().unwrap())
}

fn complete(bytes: &[u8]) -> ProxyHeader {
    match parse(bytes) {
        Ok(Parsed::Complete(header, length)) if length == bytes.len() => header,
        other => panic!("{other:?}"),
    }
}

#[test]
fn v1_lines() {
    let (source, destination) = addresses();
    let relayed = ProxyHeader::Relayed { source, destination };
    assert_eq!(complete(b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n"), relayed);
    assert_eq!(complete(b"PROXY UNKNOWN\r\n"), ProxyHeader::Direct);
    assert_eq!(complete(b"PROXY UNKNOWN ffff::1 whatever \r\n"), ProxyHeader::Direct);
    let longest = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), V1_MAX_BYTES);
    assert_eq!(complete(longest), ProxyHeader::Direct);
    let mapped = complete(b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:c633:6401 51000 443\r\n");
    assert_eq!(mapped, relayed);
    assert_eq!(
        parse(b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n"),
        Ok(Parsed::Complete(ProxyHeader::Direct, 15))
    );
}

#[test]
fn v1_is_strict() {
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], Invalid::NoHeader),
        (b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Invalid::NoHeader),
        (b"\r\n\r\nG", Invalid::NoHeader),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", Invalid::Line),
        (b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Invalid::Line),
        (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", Invalid::Address),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Invalid::Line),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Invalid::Line),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Invalid::Line),
        (b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", Invalid::Line),
        (b"PROXY UNKNOWNX\r\n", Invalid::Line),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Invalid::Address),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Invalid::Address),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", Invalid::Address),
        (b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", Invalid::Address),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", Invalid::Address),
        (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", Invalid::Address),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Invalid::Address),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \xff\r\n", Invalid::Line),
    ] {
        assert_eq!(parse(bytes), Err(expected), "{}", bytes.escape_ascii());
    }
    let mut endless = b"PROXY UNKNOWN ".to_vec();
    endless.resize(V1_MAX_BYTES - 1, b'x');
    assert_eq!(parse(&endless), Ok(Parsed::Incomplete));
    endless.push(b'x');
    assert_eq!(parse(&endless), Err(Invalid::LineTooLong));
}

#[test]
fn v2_families_and_commands() {
    let (source, destination) = addresses();
    let relayed = ProxyHeader::Relayed { source, destination };
    assert_eq!(complete(&encode_v2(source, destination, &[])), relayed);
    assert_eq!(complete(&encode_v2(source, destination, &tlv(0x02, b"a.example"))), relayed);
    assert_eq!(complete(&v2(PROXY, 0x31, &[b'/'; 216])), ProxyHeader::Direct);
    assert_eq!(complete(&v2(PROXY, 0x00, &[])), ProxyHeader::Direct);
    assert_eq!(complete(&v2(PROXY, 0x00, &tlv(0x04, &[0; 9]))), ProxyHeader::Direct);
    assert_eq!(complete(&v2(LOCAL, 0x00, &[])), ProxyHeader::Direct);
    assert_eq!(complete(&v2(LOCAL, 0xff, b"ignored block")), ProxyHeader::Direct);
}

#[test]
fn v2_is_strict_and_bounded() {
    let (source, destination) = addresses();
    for (bytes, expected) in [
        (v2(0x11, 0x11, &[0; 12]), Invalid::Command),
        (v2(0x22, 0x11, &[0; 12]), Invalid::Command),
        (v2(PROXY, 0x12, &[0; 12]), Invalid::Family),
        (v2(PROXY, 0x10, &[0; 12]), Invalid::Family),
        (v2(PROXY, 0x01, &[]), Invalid::Family),
        (v2(PROXY, 0x41, &[0; 12]), Invalid::Family),
        (v2(PROXY, 0x11, &[0; 11]), Invalid::Length),
        (v2(PROXY, 0x21, &[0; 35]), Invalid::Length),
        (v2(PROXY, 0x31, &[0; 215]), Invalid::Length),
        (v2(LOCAL, 0x00, &[0; V2_MAX_BYTES - 15]), Invalid::Length),
        (encode_v2(source, destination, &[4]), Invalid::Field),
        (encode_v2(source, destination, &[4, 0]), Invalid::Field),
        (encode_v2(source, destination, &[4, 0, 2, 0]), Invalid::Field),
        (encode_v2(source, destination, &tlv(TLV_CRC32C, &[0; 3])), Invalid::Field),
        (encode_v2(source, destination, &tlv(TLV_CRC32C, &[1; 4])), Invalid::Checksum),
    ] {
        assert_eq!(parse(&bytes), Err(expected), "{}", bytes.escape_ascii());
    }
    assert_eq!(complete(&v2(LOCAL, 0x00, &[0; V2_MAX_BYTES - 16])), ProxyHeader::Direct);
    // A length out of bounds is refused before its bytes are waited for.
    let huge = v2(PROXY, 0x11, &[0; V2_MAX_BYTES]);
    assert_eq!(parse(&huge[..16]), Err(Invalid::Length));
}

#[test]
fn v2_checksum_is_verified() {
    // The check value of CRC-32C.
    assert_eq!(checksum(b"123456789", usize::MAX - 4), 0xE306_9283);
    let (source, destination) = addresses();
    let good = with_checksum(source, destination);
    complete(&good);
    for at in 16..good.len() - 7 {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert_eq!(parse(&bad), Err(Invalid::Checksum));
    }
}

fn same_family() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<(Ipv4Addr, Ipv4Addr, u16, u16)>()
        .prop_map(|(a, b, p, q)| ((a, p).into(), (b, q).into()));
    let v6 = any::<(Ipv6Addr, Ipv6Addr, u16, u16)>()
        .prop_map(|(a, b, p, q)| ((a, p).into(), (b, q).into()));
    prop_oneof![v4, v6]
}

/// Bytes that come past the first checks, so that the later ones are tried too.
fn nearly_headers() -> impl Strategy<Value = Vec<u8>> {
    let tail = prop::collection::vec(any::<u8>(), 0..300);
    (tail, any::<(u8, u8, u16)>(), 0..5usize).prop_map(|(tail, (command, family, length), kind)| {
        let mut bytes = match kind {
            0 => Vec::new(),
            1 => b"PROXY ".to_vec(),
            2 => b"PROXY TCP4 1.2.3.4 ".to_vec(),
            3 => [&V2_SIGNATURE[..], &[command, family], &length.to_be_bytes()].concat(),
            _ => {
                let family = [0x00, 0x11, 0x21, 0x31][usize::from(family % 4)];
                [&V2_SIGNATURE[..], &[PROXY, family], &(length % 300).to_be_bytes()].concat()
            }
        };
        bytes.extend(tail);
        bytes
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_parsed((source, destination) in same_family(), rest in ".{0,40}") {
        let expected = relayed(source, destination);
        for header in [
            encode_v1(source, destination),
            encode_v2(source, destination, &tlv(0x04, rest.as_bytes())),
            with_checksum(source, destination),
        ] {
            for cut in 0..header.len() {
                prop_assert_eq!(parse(&header[..cut]), Ok(Parsed::Incomplete));
            }
            let followed = [&header[..], rest.as_bytes()].concat();
            prop_assert_eq!(parse(&followed), Ok(Parsed::Complete(expected, header.len())));
        }
    }

    #[test]
    fn no_bytes_panic_and_verdicts_are_final(bytes in nearly_headers()) {
        let mut previous = Ok(Parsed::Incomplete);
        for end in 0..=bytes.len() {
            let verdict = parse(&bytes[..end]);
            if let Ok(Parsed::Complete(_, length)) = verdict {
                prop_assert!(length <= end && length <= V2_MAX_BYTES);
            }
            if previous != Ok(Parsed::Incomplete) {
                prop_assert_eq!(verdict, previous);
            }
            previous = verdict;
        }
    }
}

#[tokio::test]
async fn bytes_behind_the_header_are_handed_on() {
    let (source, destination) = addresses();
    for header in [encode_v1(source, destination), with_checksum(source, destination)] {
        let sent = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        // In one piece, and byte by byte.
        for piece in [sent.len(), 1] {
            let (mut client, mut server) = tokio::io::duplex(piece);
            let sent = sent.clone();
            let client = async move {
                client.write_all(&sent).await.unwrap();
                client.write_all(b"later").await.unwrap();
            };
            let server = async move {
                let (header, leftover) = read_header(&mut server).await.unwrap();
                let mut text = String::new();
                Prefixed::new(leftover, server).read_to_string(&mut text).await.unwrap();
                (header, text)
            };
            let ((), (header, text)) = tokio::join!(client, server);
            assert_eq!(header.source(), Some(source));
            assert_eq!(text, "GET / HTTP/1.1\r\n\r\nlater");
        }
    }
}

#[tokio::test]
async fn a_connection_without_a_header_fails() {
    let error = read_header(&mut &b"GET / HTTP/1.1\r\n"[..]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "no PROXY header");
    let error = read_header(&mut &b"PROXY TC"[..]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}
