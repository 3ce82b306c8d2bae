//! Bodies that can be checked byte by byte without being kept.

use bytes::{Bytes, BytesMut};

/// The body every peer sends, as it goes on: what stands where follows from the place alone, and
/// no two stretches of a megabyte are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pattern {
    /// Bytes given or checked so far.
    pub(crate) at: usize,
}

fn byte(at: usize) -> u8 {
    u8::try_from((at ^ (at >> 8) ^ (at >> 16).wrapping_mul(31)) & 0xff).unwrap()
}

impl Pattern {
    /// The next `length` bytes.
    pub(crate) fn next(&mut self, length: usize) -> Bytes {
        let mut piece = BytesMut::with_capacity(length);
        piece.extend((self.at..self.at + length).map(byte));
        self.at += length;
        piece.freeze()
    }

    /// Whether these are the next bytes.
    pub(crate) fn check(&mut self, piece: &[u8]) -> bool {
        let same = piece.iter().enumerate().all(|(i, b)| *b == byte(self.at + i));
        self.at += piece.len();
        same
    }

    /// A body of this length.
    pub(crate) fn whole(length: usize) -> Bytes {
        Self::default().next(length)
    }
}
