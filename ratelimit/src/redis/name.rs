//! Keys and numbers as servers read them.

use std::io::Write;

use smallvec::SmallVec;

use crate::key::Key;

/// What our keys begin with; the number is that of the layout of their values.
const PREFIX: &[u8; 9] = b"weir:rl1:";
const LEN: usize = PREFIX.len() + 34;

/// A key as a server knows it: `weir:rl1:{shard}place`, each in 16 hexadecimal digits. Half of the
/// key is its hash tag, so that keys which share that half lie together: [`Key::beside`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Name([u8; LEN]);

impl Name {
    pub(super) fn new(key: Key) -> Self {
        let mut name = [0; LEN];
        let mut rest = &mut name[..];
        // It fits: nine, one, sixteen, one, sixteen.
        let _ = rest.write_all(PREFIX);
        let _ = write!(rest, "{{{:016x}}}{:016x}", key.shard, key.place);
        Self(name)
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name of something else that is kept of the key, in the same place.
    pub(super) fn with(&self, mark: [u8; 2]) -> SmallVec<[u8; LEN + 2]> {
        self.0.iter().copied().chain(mark).collect()
    }
}

/// Whole numbers in decimal, one after the other.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    digits: Vec<u8>,
    ends: SmallVec<[usize; 16]>,
}

impl Numbers {
    pub(super) fn new(numbers: impl IntoIterator<Item = i64>) -> Self {
        let mut all = Self::default();
        for number in numbers {
            // A vector takes whatever comes.
            let _ = write!(all.digits, "{number}");
            all.ends.push(all.digits.len());
        }
        all
    }

    pub(super) fn bytes(&self) -> SmallVec<[&[u8]; 16]> {
        let mut begin = 0;
        let slice = |end: &usize| &self.digits[std::mem::replace(&mut begin, *end)..*end];
        self.ends.iter().map(slice).collect()
    }
}
