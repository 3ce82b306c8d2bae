//! Bodies that can be checked byte by byte without being kept.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

/// A prime, so that no frame, packet or buffer is a whole number of turns.
const TURN: usize = 262_139;

/// The body every peer sends, as it goes on: what stands where follows from the place alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pattern {
    /// Bytes given or checked so far.
    pub(crate) at: usize,
}

fn turn() -> &'static Bytes {
    static BYTES: OnceLock<Bytes> = OnceLock::new();
    BYTES.get_or_init(|| {
        let byte = |at: usize| ((at ^ (at >> 8) ^ (at >> 16).wrapping_mul(31)) & 0xff) as u8;
        (0..TURN).map(byte).collect()
    })
}

impl Pattern {
    /// The next bytes up to the end of a turn.
    fn stretch(&mut self, most: usize) -> Bytes {
        let from = self.at % TURN;
        let length = most.min(TURN - from);
        self.at += length;
        turn().slice(from..from + length)
    }

    /// The next `length` bytes.
    pub(crate) fn next(&mut self, length: usize) -> Bytes {
        let first = self.stretch(length);
        if first.len() == length {
            return first;
        }
        let mut piece = BytesMut::from(first);
        while piece.len() < length {
            piece.extend_from_slice(&self.stretch(length - piece.len()));
        }
        piece.freeze()
    }

    /// Whether these are the next bytes.
    pub(crate) fn check(&mut self, mut piece: &[u8]) -> bool {
        let mut same = true;
        while !piece.is_empty() {
            let stretch = self.stretch(piece.len());
            let (here, rest) = piece.split_at(stretch.len());
            same &= here == stretch;
            piece = rest;
        }
        same
    }

    /// A body of this length.
    pub(crate) fn whole(length: usize) -> Bytes {
        Self::default().next(length)
    }
}
