//! The type at the start of a unidirectional stream (RFC 9114 section 6.2, RFC 9204 section 4.2).

use bytes::{Buf, Bytes};

use crate::h3::varint;

/// What a unidirectional stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniKind {
    /// The control stream.
    Control,
    /// A pushed response.
    Push,
    /// Instructions of the peer's QPACK encoder.
    QpackEncoder,
    /// Instructions of the peer's QPACK decoder.
    QpackDecoder,
    /// Something else, to be refused or ignored.
    Unknown,
}

impl UniKind {
    /// Type of a control stream.
    pub const CONTROL: u64 = 0x00;
    /// Type of a push stream.
    pub const PUSH: u64 = 0x01;
    /// Type of a QPACK encoder stream.
    pub const QPACK_ENCODER: u64 = 0x02;
    /// Type of a QPACK decoder stream.
    pub const QPACK_DECODER: u64 = 0x03;

    const fn new(value: u64) -> Self {
        match value {
            Self::CONTROL => Self::Control,
            Self::PUSH => Self::Push,
            Self::QPACK_ENCODER => Self::QpackEncoder,
            Self::QPACK_DECODER => Self::QpackDecoder,
            _ => Self::Unknown,
        }
    }
}

/// Reads the type of a unidirectional stream, however it is cut.
#[derive(Debug, Default)]
pub struct UniType {
    bytes: [u8; 8],
    length: usize,
}

impl UniType {
    /// A reader at the stream's start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the type off the front of `chunk` and leaves what follows it; `None` when more bytes
    /// are needed. To be called until it gives the type, and then no more.
    pub fn take(&mut self, chunk: &mut Bytes) -> Option<UniKind> {
        while !chunk.is_empty() {
            // An integer never takes more than the array, so this returns in time.
            *self.bytes.get_mut(self.length)? = chunk.get_u8();
            self.length += 1;
            if let Some((value, _)) = varint::decode(&self.bytes[..self.length]) {
                return Some(UniKind::new(value));
            }
        }
        None
    }
}
