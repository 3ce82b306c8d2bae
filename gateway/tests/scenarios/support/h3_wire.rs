//! HTTP/3 on the wire for tests: codes, types, integers and frames that say what they are told.

use super::qpack_raw;

/// Error codes of RFC 9114 8.1 and RFC 9204 8.3.
pub(crate) mod code {
    pub(crate) const NO_ERROR: u64 = 0x100;
    pub(crate) const STREAM_CREATION_ERROR: u64 = 0x103;
    pub(crate) const CLOSED_CRITICAL_STREAM: u64 = 0x104;
    pub(crate) const FRAME_UNEXPECTED: u64 = 0x105;
    pub(crate) const FRAME_ERROR: u64 = 0x106;
    pub(crate) const EXCESSIVE_LOAD: u64 = 0x107;
    pub(crate) const ID_ERROR: u64 = 0x108;
    pub(crate) const SETTINGS_ERROR: u64 = 0x109;
    pub(crate) const MISSING_SETTINGS: u64 = 0x10a;
    pub(crate) const REQUEST_CANCELLED: u64 = 0x10c;
    pub(crate) const REQUEST_INCOMPLETE: u64 = 0x10d;
    pub(crate) const MESSAGE_ERROR: u64 = 0x10e;
    pub(crate) const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
    pub(crate) const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
    pub(crate) const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
}

/// Frame types of RFC 9114 7.2.
pub(crate) const DATA: u64 = 0;
pub(crate) const HEADERS: u64 = 1;
pub(crate) const CANCEL_PUSH: u64 = 3;
pub(crate) const SETTINGS: u64 = 4;
pub(crate) const PUSH_PROMISE: u64 = 5;
pub(crate) const GOAWAY: u64 = 7;
pub(crate) const MAX_PUSH_ID: u64 = 0xd;
/// Types of unidirectional streams (RFC 9114 6.2, RFC 9204 4.2).
pub(crate) const CONTROL: u64 = 0;
pub(crate) const PUSH: u64 = 1;
pub(crate) const ENCODER: u64 = 2;
pub(crate) const DECODER: u64 = 3;

/// A variable-length integer in its shortest form (RFC 9000 16).
pub(crate) fn varint(value: u64) -> Vec<u8> {
    let size = match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    };
    varint_of(size, value)
}

/// A variable-length integer of `size` bytes.
pub(crate) fn varint_of(size: usize, value: u64) -> Vec<u8> {
    let prefix = u64::from(size.ilog2()) << (size * 8 - 2);
    (prefix | value).to_be_bytes()[8 - size..].to_vec()
}

/// A frame.
pub(crate) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    frame_of(kind, payload.len() as u64, payload)
}

/// A frame that says another length than it has.
pub(crate) fn frame_of(kind: u64, length: u64, payload: &[u8]) -> Vec<u8> {
    [&varint(kind)[..], &varint(length), payload].concat()
}

/// A HEADERS frame of plain literals.
pub(crate) fn headers(fields: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Vec<u8> {
    frame(HEADERS, &qpack_raw::section(fields))
}

/// The fields of an ordinary request.
pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "https"), (":authority", "edge.test"), (":path", path)]
}

/// Reads a variable-length integer at `at`; the place after it.
pub(crate) fn read_varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let size = 1 << (bytes.get(at)? >> 6);
    let mut whole = [0; 8];
    whole[8 - size..].copy_from_slice(bytes.get(at..at + size)?);
    whole[8 - size] &= 0x3f;
    Some((u64::from_be_bytes(whole), at + size))
}
