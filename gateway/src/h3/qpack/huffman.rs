//! The Huffman code of strings (RFC 7541 section 5.2 and appendix B), both ways.
//!
//! The code is canonical: codes of one length count up in the order of their symbols, and go on
//! where the shorter ones stopped. So the lengths alone tell the whole code, and every table here
//! is computed from them by the compiler.

use bytes::{BufMut, BytesMut};

#[cfg(test)]
mod tests;

/// Symbols: the bytes, and the end of the string (EOS), which never appears.
const SYMBOLS: usize = 257;
const EOS: u16 = 256;
/// The longest code, in bits.
const LONGEST: usize = 30;

/// Bits of each symbol's code (RFC 7541 appendix B).
#[rustfmt::skip]
const BITS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The symbols in the order of their codes, and where each length begins.
struct Canon {
    symbols: [u16; SYMBOLS],
    /// Of each length: the first code, and the index of its symbol.
    first: [(u32, u16); LONGEST + 2],
}

static CANON: Canon = canon();

const fn canon() -> Canon {
    let mut canon = Canon { symbols: [0; SYMBOLS], first: [(0, 0); LONGEST + 2] };
    let (mut code, mut index, mut bits) = (0, 0, 0);
    while bits <= LONGEST {
        canon.first[bits] = (code, index);
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if BITS[symbol] as usize == bits {
                canon.symbols[index as usize] = symbol as u16;
                (code, index) = (code + 1, index + 1);
            }
            symbol += 1;
        }
        (code, bits) = (code << 1, bits + 1);
    }
    // The code is complete: after the longest, which is EOS, no code is left.
    assert!(code == 1 << (LONGEST + 1) && canon.symbols[SYMBOLS - 1] == EOS);
    canon.first[LONGEST + 1] = (code, index);
    canon
}

/// The code of each byte.
static CODES: [u32; SYMBOLS] = codes();

const fn codes() -> [u32; SYMBOLS] {
    let canon = canon();
    let mut codes = [0; SYMBOLS];
    let mut index = 0;
    while index < SYMBOLS {
        let symbol = canon.symbols[index] as usize;
        let (code, first) = canon.first[BITS[symbol] as usize];
        codes[symbol] = code + (index as u32 - first as u32);
        index += 1;
    }
    codes
}

// === Decoding ===

/// Bits looked at together. Nearly all that is sent has codes this short, often two at once.
const PEEK: usize = 12;

/// What the next [`PEEK`] bits begin with: up to two symbols.
#[derive(Clone, Copy)]
struct Step {
    symbols: [u8; 2],
    /// Bits of the first symbol; 0 when its code is longer.
    first: u8,
    /// Bits of all of them: there are two when this is more.
    bits: u8,
}

static STEPS: [Step; 1 << PEEK] = steps();

const fn steps() -> [Step; 1 << PEEK] {
    let codes = codes();
    let none = Step { symbols: [0; 2], first: 0, bits: 0 };
    let mut steps = [none; 1 << PEEK];
    let mut symbol = 0;
    while symbol < 256 {
        let bits = BITS[symbol] as usize;
        if bits <= PEEK {
            let start = (codes[symbol] as usize) << (PEEK - bits);
            let mut i = 0;
            while i < 1 << (PEEK - bits) {
                let (symbols, bits) = ([symbol as u8, 0], bits as u8);
                steps[start + i] = Step { symbols, first: bits, bits };
                i += 1;
            }
        }
        symbol += 1;
    }
    let singles = steps;
    let mut i = 0;
    while i < 1 << PEEK {
        let one = singles[i];
        // What follows the first symbol, at the front. The zeros behind it are not there to be
        // read, so a second symbol must not reach into them.
        let two = singles[(i << one.first) % (1 << PEEK)];
        let bits = one.first + two.first;
        if one.first > 0 && two.first > 0 && bits as usize <= PEEK {
            let symbols = [one.symbols[0], two.symbols[0]];
            steps[i] = Step { symbols, first: one.first, bits };
        }
        i += 1;
    }
    steps
}

/// Why a string is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// EOS within, or padding that is too long or not EOS's front.
    Garbage,
    /// It is longer than allowed.
    TooLong,
}

/// Greatest length that `length` encoded bytes can have.
pub(crate) const fn longest(length: usize) -> usize {
    // The shortest code has five bits.
    length.saturating_mul(8) / 5
}

/// Appends what `encoded` stands for to `out`, but never more than `limit` bytes. After an error
/// `out` holds what it held.
pub(crate) fn decode(encoded: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), Undecodable> {
    let start = out.len();
    // Two bytes are written at a time.
    out.resize(start + longest(encoded.len()).min(limit) + 2, 0);
    let decoded = decode_into(encoded, &mut out[start..]);
    let decoded = decoded.and_then(|n| if n > limit { Err(Undecodable::TooLong) } else { Ok(n) });
    out.truncate(start + decoded.unwrap_or(0));
    decoded.map(|_| ())
}

fn decode_into(mut encoded: &[u8], out: &mut [u8]) -> Result<usize, Undecodable> {
    let mut written = 0;
    // The next `have` bits at the top, and zeros below them.
    let (mut bits, mut have) = (0_u64, 0);
    loop {
        if have < 32 {
            let Some((word, rest)) = encoded.split_first_chunk::<4>() else { break };
            bits |= u64::from(u32::from_be_bytes(*word)) << (32 - have);
            (encoded, have) = (rest, have + 32);
        }
        let step = STEPS[(bits >> (64 - PEEK)) as usize];
        let (symbols, length, count) = if step.first == 0 {
            let (symbol, length) = long_symbol(bits)?;
            ([symbol, 0], length, 1)
        } else {
            (step.symbols, u32::from(step.bits), 1 + usize::from(step.bits > step.first))
        };
        let place = out.get_mut(written..written + 2).ok_or(Undecodable::TooLong)?;
        place.copy_from_slice(&symbols);
        written += count;
        bits <<= length;
        have -= length;
    }
    for byte in encoded {
        bits |= u64::from(*byte) << (56 - have);
        have += 8;
    }
    // Ones behind the end: they begin no code that ends within seven bits of padding.
    bits |= u64::MAX >> have;
    while have > 0 {
        let step = STEPS[(bits >> (64 - PEEK)) as usize];
        let (symbol, length) = match step.first {
            0 if have < 8 => break,
            0 => long_symbol(bits)?,
            first => (step.symbols[0], u32::from(first)),
        };
        if length > have {
            break;
        }
        *out.get_mut(written).ok_or(Undecodable::TooLong)? = symbol;
        written += 1;
        bits = bits << length | u64::MAX >> (64 - length);
        have -= length;
    }
    if have < 8 && bits == u64::MAX { Ok(written) } else { Err(Undecodable::Garbage) }
}

/// The symbol, and its length, when its code has more than [`PEEK`] bits.
#[cold]
fn long_symbol(bits: u64) -> Result<(u8, u32), Undecodable> {
    let code = (bits >> (64 - LONGEST)) as u32;
    let mut length = PEEK + 1;
    // The codes that follow those of a length, cut to it, are the first ones beyond.
    while length < LONGEST && code >= CANON.first[length + 1].0 << (LONGEST - length - 1) {
        length += 1;
    }
    let (first, index) = CANON.first[length];
    let offset = (code >> (LONGEST - length)) - first;
    let symbol = CANON.symbols[usize::from(index) + offset as usize];
    // EOS is no byte.
    u8::try_from(symbol).map(|symbol| (symbol, length as u32)).map_err(|_| Undecodable::Garbage)
}

// === Encoding ===

/// Bytes that `text` takes encoded.
pub(crate) fn encoded_length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(BITS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Each symbol's code above its length, so that one look gives both.
static PACKED: [u64; 256] = packed();

const fn packed() -> [u64; 256] {
    let codes = codes();
    let mut packed = [0; 256];
    let mut symbol = 0;
    while symbol < 256 {
        packed[symbol] = (codes[symbol] as u64) << 8 | BITS[symbol] as u64;
        symbol += 1;
    }
    packed
}

/// Encodes `text` at the front of `out`, which has room for `text`; how long that is, unless it is
/// no shorter.
pub(crate) fn encode_shorter(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let (mut bits, mut have, mut written) = (0_u64, 0, 0);
    for byte in text {
        let packed = PACKED[usize::from(*byte)];
        let length = packed as u32 & 0xff;
        bits = bits << length | packed >> 8;
        have += length;
        // At most 31 bits wait, so a code always fits.
        if have >= 32 {
            have -= 32;
            let next = written + 4;
            out.get_mut(written..next)?.copy_from_slice(&((bits >> have) as u32).to_be_bytes());
            written = next;
        }
    }
    let rest = have.div_ceil(8) as usize;
    let length = written + rest;
    if length >= text.len() {
        return None;
    }
    if rest > 0 {
        // Padded with ones, the front of EOS.
        let padded = (bits << (32 - have)) as u32 | u32::MAX >> have;
        out[written..length].copy_from_slice(&padded.to_be_bytes()[..rest]);
    }
    Some(length)
}

/// Appends `text` encoded.
pub(crate) fn encode(text: &[u8], out: &mut BytesMut) {
    let (mut bits, mut have) = (0_u64, 0);
    for byte in text {
        let length = u32::from(BITS[usize::from(*byte)]);
        bits = bits << length | u64::from(CODES[usize::from(*byte)]);
        have += length;
        // At most 31 bits wait, so a code always fits.
        if have >= 32 {
            have -= 32;
            out.put_u32((bits >> have) as u32);
        }
    }
    if have > 0 {
        // Padded with ones, the front of EOS.
        let padded = (bits << (32 - have)) as u32 | u32::MAX >> have;
        out.extend_from_slice(&padded.to_be_bytes()[..have.div_ceil(8) as usize]);
    }
}
