//! HPACK (RFC 7541) for tests: an encoder that says exactly what it is told, and a full decoder.

use std::collections::VecDeque;

/// A decoded field section.
pub(crate) type Fields = Vec<(String, String)>;

/// A literal field without indexing, no Huffman: the plainest form there is.
pub(crate) fn literal(into: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    into.push(0);
    string(into, name);
    string(into, value);
}

/// A literal field that the peer adds to its dynamic table.
pub(crate) fn indexed_literal(into: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    into.push(0x40);
    string(into, name);
    string(into, value);
}

/// A field section of literals.
pub(crate) fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        literal(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

fn string(into: &mut Vec<u8>, text: &[u8]) {
    integer(into, 0, 7, text.len());
    into.extend_from_slice(text);
}

/// An integer with a prefix of `bits` (RFC 7541 5.1).
pub(crate) fn integer(into: &mut Vec<u8>, first: u8, bits: u32, mut value: usize) {
    let limit = (1 << bits) - 1;
    if value < limit {
        into.push(first | u8::try_from(value).unwrap());
        return;
    }
    into.push(first | u8::try_from(limit).unwrap());
    value -= limit;
    while value >= 128 {
        into.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    into.push(u8::try_from(value).unwrap());
}

/// The decoding side of one connection.
#[derive(Default)]
pub(crate) struct Decoder {
    dynamic: VecDeque<(String, String)>,
}

impl Decoder {
    /// Decodes one field section; panics on a malformed one, for the gateway made it.
    pub(crate) fn decode(&mut self, mut block: &[u8]) -> Fields {
        let mut fields = Vec::new();
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                let index = read_integer(&mut block, 7);
                fields.push(self.entry(index));
            } else if first & 0xe0 == 0x20 {
                let size = read_integer(&mut block, 5);
                self.evict(size);
            } else {
                let bits = if first & 0x40 != 0 { 6 } else { 4 };
                let index = read_integer(&mut block, bits);
                let name = if index == 0 { read_string(&mut block) } else { self.entry(index).0 };
                let field = (name, read_string(&mut block));
                if bits == 6 {
                    self.dynamic.push_front(field.clone());
                    self.evict(4096);
                }
                fields.push(field);
            }
        }
        fields
    }

    fn entry(&self, index: usize) -> (String, String) {
        assert!(index > 0, "index 0");
        match STATIC.get(index - 1) {
            Some((name, value)) => ((*name).to_owned(), (*value).to_owned()),
            None => self.dynamic[index - 1 - STATIC.len()].clone(),
        }
    }

    fn evict(&mut self, size: usize) {
        let used = |d: &VecDeque<(String, String)>| -> usize {
            d.iter().map(|(n, v)| n.len() + v.len() + 32).sum()
        };
        while used(&self.dynamic) > size {
            self.dynamic.pop_back();
        }
    }
}

/// Reads an integer with a prefix of `bits`.
pub(crate) fn read_integer(block: &mut &[u8], bits: u32) -> usize {
    let limit = (1 << bits) - 1;
    let mut value = usize::from(block[0]) & limit;
    *block = &block[1..];
    if value < limit {
        return value;
    }
    let mut shift = 0;
    loop {
        let byte = block[0];
        *block = &block[1..];
        value += usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            return value;
        }
    }
}

fn read_string(block: &mut &[u8]) -> String {
    let huffman = block[0] & 0x80 != 0;
    let length = read_integer(block, 7);
    let (text, rest) = block.split_at(length);
    *block = rest;
    let bytes = if huffman { unfold(text) } else { text.to_vec() };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Decodes Huffman's code; the padding is not judged.
pub(crate) fn unfold(text: &[u8]) -> Vec<u8> {
    let codes: std::collections::HashMap<(u8, u32), u8> =
        codes().into_iter().map(|(symbol, length, code)| ((length, code), symbol)).collect();
    let (mut out, mut code, mut length) = (Vec::new(), 0u32, 0u8);
    for byte in text {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            if let Some(symbol) = codes.get(&(length, code)) {
                out.push(*symbol);
                (code, length) = (0, 0);
            }
        }
    }
    out
}

/// Encodes in Huffman's code, padded with ones.
pub(crate) fn fold(text: &[u8]) -> Vec<u8> {
    let mut table = [(0, 0); 256];
    for (symbol, length, code) in codes() {
        table[usize::from(symbol)] = (length, code);
    }
    let (mut out, mut bits, mut held) = (Vec::new(), 0u64, 0u32);
    for byte in text {
        let (length, code) = table[usize::from(*byte)];
        bits = bits << length | u64::from(code);
        held += u32::from(length);
        while held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    if held > 0 {
        let padded = bits << (8 - held) | (0xff >> held);
        out.push(u8::try_from(padded & 0xff).unwrap());
    }
    out
}

/// Each symbol's length and code. The code is canonical: the lengths alone give it back.
fn codes() -> Vec<(u8, u8, u32)> {
    let mut order: Vec<usize> = (0..LENGTHS.len()).collect();
    order.sort_by_key(|&s| (LENGTHS[s], s));
    let (mut code, mut length) = (0u32, 0u8);
    let next = |symbol: usize| {
        code <<= LENGTHS[symbol] - length;
        length = LENGTHS[symbol];
        code += 1;
        (u8::try_from(symbol).unwrap(), length, code - 1)
    };
    order.into_iter().map(next).collect()
}

/// Appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Code lengths of Appendix B, by symbol.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
