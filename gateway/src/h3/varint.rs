//! Variable-length integers (RFC 9000 section 16).

use bytes::{BufMut, BytesMut};

#[cfg(test)]
mod tests;

/// The greatest number that fits.
pub const MAX: u64 = (1 << 62) - 1;

/// The integer at the front and how many bytes it takes; `None` while it is incomplete.
pub fn decode(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |n, byte| n << 8 | u64::from(*byte));
    Some((value, length))
}

/// Writes the shortest form of `value`. What is above [`MAX`] is written as [`MAX`].
pub fn encode(value: u64, out: &mut BytesMut) {
    match value.min(MAX) {
        n @ 0..0x40 => out.put_u8(n as u8),
        n @ 0x40..0x4000 => out.put_u16(0x4000 | n as u16),
        n @ 0x4000..0x4000_0000 => out.put_u32(0x8000_0000 | n as u32),
        n => out.put_u64(0xc000_0000_0000_0000 | n),
    }
}

/// Bytes that [`encode`] takes for `value`.
pub const fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}
