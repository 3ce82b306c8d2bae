//! QPACK (RFC 9204) for tests: field sections that say exactly what they are told, and a decoder
//! of what needs no dynamic table.

use super::hpack::{Fields, fold, integer, read_integer, unfold};

/// Required Insert Count 0, Base 0.
pub(crate) const PREFIX: [u8; 2] = [0, 0];

/// A field section of literals without Huffman: the plainest form there is.
pub(crate) fn section(fields: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Vec<u8> {
    let mut block = PREFIX.to_vec();
    for (name, value) in fields {
        literal(&mut block, name.as_ref(), value.as_ref());
    }
    block
}

/// A field section of literals, all in Huffman's code.
pub(crate) fn huffman_section(fields: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Vec<u8> {
    let mut block = PREFIX.to_vec();
    for (name, value) in fields {
        let (name, value) = (fold(name.as_ref()), fold(value.as_ref()));
        integer(&mut block, 0x28, 3, name.len());
        block.extend(name);
        integer(&mut block, 0x80, 7, value.len());
        block.extend(value);
    }
    block
}

/// A literal field line with a literal name.
pub(crate) fn literal(into: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    integer(into, 0x20, 3, name.len());
    into.extend_from_slice(name);
    integer(into, 0, 7, value.len());
    into.extend_from_slice(value);
}

/// An indexed field line of the static table.
pub(crate) fn indexed(into: &mut Vec<u8>, index: usize) {
    integer(into, 0xc0, 6, index);
}

/// A literal field line with a name of the static table.
pub(crate) fn named(into: &mut Vec<u8>, index: usize, value: &[u8]) {
    integer(into, 0x50, 4, index);
    integer(into, 0, 7, value.len());
    into.extend_from_slice(value);
}

/// Decodes a field section; the reason why it cannot be read, for the gateway made it.
pub(crate) fn decode(block: &[u8]) -> Result<Fields, String> {
    let Some(mut rest) = block.strip_prefix(&PREFIX[..]) else {
        return Err(format!("needs a dynamic table: {block:02x?}"));
    };
    let mut fields = Vec::new();
    while let Some(&first) = rest.first() {
        match first {
            0xc0.. => {
                let (name, value) = STATIC[read_integer(&mut rest, 6)];
                fields.push((name.to_owned(), value.to_owned()));
            }
            0x50..0x60 | 0x70..0x80 => {
                let name = STATIC[read_integer(&mut rest, 4)].0.to_owned();
                fields.push((name, read_string(&mut rest, 7)));
            }
            0x20..0x40 => {
                let name = read_string(&mut rest, 3);
                fields.push((name, read_string(&mut rest, 7)));
            }
            _ => return Err(format!("dynamic reference {first:02x}")),
        }
    }
    Ok(fields)
}

fn read_string(block: &mut &[u8], bits: u32) -> String {
    let huffman = block[0] >> bits & 1 == 1;
    let length = read_integer(block, bits);
    let (text, rest) = block.split_at(length);
    *block = rest;
    let bytes = if huffman { unfold(text) } else { text.to_vec() };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Appendix A.
const STATIC: [(&str, &str); 99] = [
    (":authority", ""),
    (":path", "/"),
    ("age", "0"),
    ("content-disposition", ""),
    ("content-length", "0"),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("referer", ""),
    ("set-cookie", ""),
    (":method", "CONNECT"),
    (":method", "DELETE"),
    (":method", "GET"),
    (":method", "HEAD"),
    (":method", "OPTIONS"),
    (":method", "POST"),
    (":method", "PUT"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "103"),
    (":status", "200"),
    (":status", "304"),
    (":status", "404"),
    (":status", "503"),
    ("accept", "*/*"),
    ("accept", "application/dns-message"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"),
    ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"),
    ("access-control-allow-origin", "*"),
    ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"),
    ("cache-control", "max-age=604800"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "public, max-age=31536000"),
    ("content-encoding", "br"),
    ("content-encoding", "gzip"),
    ("content-type", "application/dns-message"),
    ("content-type", "application/javascript"),
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"),
    ("content-type", "image/jpeg"),
    ("content-type", "image/png"),
    ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"),
    ("range", "bytes=0-"),
    ("strict-transport-security", "max-age=31536000"),
    ("strict-transport-security", "max-age=31536000; includesubdomains"),
    ("strict-transport-security", "max-age=31536000; includesubdomains; preload"),
    ("vary", "accept-encoding"),
    ("vary", "origin"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "1; mode=block"),
    (":status", "100"),
    (":status", "204"),
    (":status", "206"),
    (":status", "302"),
    (":status", "400"),
    (":status", "403"),
    (":status", "421"),
    (":status", "425"),
    (":status", "500"),
    ("accept-language", ""),
    ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"),
    ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"),
    ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"),
    ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"),
    ("access-control-request-method", "get"),
    ("access-control-request-method", "post"),
    ("alt-svc", "clear"),
    ("authorization", ""),
    ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
    ("early-data", "1"),
    ("expect-ct", ""),
    ("forwarded", ""),
    ("if-range", ""),
    ("origin", ""),
    ("purpose", "prefetch"),
    ("server", ""),
    ("timing-allow-origin", "*"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", ""),
    ("x-forwarded-for", ""),
    ("x-frame-options", "deny"),
    ("x-frame-options", "sameorigin"),
];
