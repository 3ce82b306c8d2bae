//! Frames off a stream, however the network cuts it (RFC 9114 sections 6.2 and 7).
//!
//! [`MessageFrames`] reads a request stream, [`ControlFrames`] a control stream, [`UniType`] the
//! start of a unidirectional one. They keep the rules of sequence, so that a caller sees only what
//! may be there; each error they give is a connection error.

use bytes::{Buf, Bytes, BytesMut};

use super::varint;

mod control;
mod message;
#[cfg(test)]
mod tests;
mod uni;

pub use control::{ControlFrames, ControlItem, PAYLOAD_BYTES};
pub use message::{Item, MessageFrames};
pub use uni::{UniKind, UniType};

/// Frame types (RFC 9114 section 11.2.1).
pub mod kind {
    /// DATA.
    pub const DATA: u64 = 0x00;
    /// HEADERS.
    pub const HEADERS: u64 = 0x01;
    /// CANCEL_PUSH.
    pub const CANCEL_PUSH: u64 = 0x03;
    /// SETTINGS.
    pub const SETTINGS: u64 = 0x04;
    /// PUSH_PROMISE.
    pub const PUSH_PROMISE: u64 = 0x05;
    /// GOAWAY.
    pub const GOAWAY: u64 = 0x07;
    /// MAX_PUSH_ID.
    pub const MAX_PUSH_ID: u64 = 0x0d;

    /// Whether HTTP/2 has a frame of this type that HTTP/3 must not see (section 7.2.8).
    pub(super) const fn is_reserved(kind: u64) -> bool {
        matches!(kind, 0x02 | 0x06 | 0x08 | 0x09)
    }
}

/// Which side of the connection is reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The gateway, towards clients: it reads requests.
    Server,
    /// The gateway, towards endpoints: it reads responses.
    Client,
}

/// Writes the type and length of a DATA frame, whose payload the caller sends next.
pub fn encode_data_header(length: u64, out: &mut BytesMut) {
    varint::encode(kind::DATA, out);
    varint::encode(length, out);
}

/// Writes a GOAWAY frame (section 5.2): a server's `id` is the first request stream that it leaves
/// unprocessed.
pub fn encode_goaway(id: u64, out: &mut BytesMut) {
    varint::encode(kind::GOAWAY, out);
    varint::encode(varint::size(id) as u64, out);
    varint::encode(id, out);
}

/// The type and length of a frame, put together from as many chunks as they come in.
#[derive(Debug, Default)]
struct FrameHeader {
    bytes: [u8; 16],
    length: usize,
}

impl FrameHeader {
    /// Takes the type and the payload's length off the front of `chunk`; `None` when it ended.
    fn take(&mut self, chunk: &mut Bytes) -> Option<(u64, u64)> {
        if self.length == 0
            && let Some((kind, length, size)) = Self::parse(chunk)
        {
            chunk.advance(size);
            return Some((kind, length));
        }
        while !chunk.is_empty() {
            self.bytes[self.length] = chunk.get_u8();
            self.length += 1;
            // Two integers never fill more than the array, so this returns in time.
            if let Some((kind, length, _)) = Self::parse(&self.bytes[..self.length]) {
                self.length = 0;
                return Some((kind, length));
            }
        }
        None
    }

    fn parse(bytes: &[u8]) -> Option<(u64, u64, usize)> {
        let (kind, first) = varint::decode(bytes)?;
        let (length, second) = varint::decode(&bytes[first..])?;
        Some((kind, length, first + second))
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Drops up to `left` bytes off the front; what is still to be dropped.
fn skip(chunk: &mut Bytes, left: u64) -> u64 {
    let here = left.min(chunk.len() as u64);
    chunk.advance(here as usize);
    left - here
}
