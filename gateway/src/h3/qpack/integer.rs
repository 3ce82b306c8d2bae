//! Integers with a prefix (RFC 9204 section 4.1.1, RFC 7541 section 5.1).

use bytes::{BufMut, BytesMut};

use crate::h3::varint;

/// Takes an integer off the front, whose first byte has `prefix` bits of it. `None` when it is cut
/// off or has more than 62 bits, which is as many as must be understood.
pub(crate) fn take(bytes: &mut &[u8], prefix: u32) -> Option<u64> {
    let (&first, mut rest) = bytes.split_first()?;
    let mask = u8::MAX >> (8 - prefix);
    let mut value = u64::from(first & mask);
    if value == u64::from(mask) {
        let mut shift = 0;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            value += u64::from(byte & 0x7f) << shift;
            if value > varint::MAX {
                return None;
            }
            if byte < 0x80 {
                break;
            }
            shift += 7;
            // A tenth byte adds nothing that fits.
            if shift > 56 {
                return None;
            }
        }
    }
    *bytes = rest;
    Some(value)
}

/// Writes `value` behind the upper bits `pattern` of the first byte.
pub(crate) fn put(value: usize, prefix: u32, pattern: u8, out: &mut BytesMut) {
    let mask = (1 << prefix) - 1;
    if value < mask {
        out.put_u8(pattern | value as u8);
        return;
    }
    out.put_u8(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}
