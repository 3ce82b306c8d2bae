//! Keys and numbers as servers read them.

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
        let mut name = [b'{'; LEN];
        name[..PREFIX.len()].copy_from_slice(PREFIX);
        let (tag, rest) = (PREFIX.len() + 1, PREFIX.len() + 18);
        write_hex(&mut name[tag..rest - 1], key.shard);
        name[rest - 1] = b'}';
        write_hex(&mut name[rest..], key.place);
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

/// Writes the lowest digits of `number`, as many as fit: a formatter takes several times as long,
/// and each request has some.
fn write_hex(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
}

/// Whole numbers in decimal, one after the other.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    digits: SmallVec<[u8; 64]>,
    ends: SmallVec<[usize; 16]>,
}

impl Numbers {
    pub(super) fn new(numbers: impl IntoIterator<Item = i64>) -> Self {
        let mut all = Self::default();
        for number in numbers {
            let (mut digits, mut begin, mut rest) = ([0; 20], 20, number.unsigned_abs());
            while rest > 0 || begin == 20 {
                begin -= 1;
                digits[begin] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            if number < 0 {
                all.digits.push(b'-');
            }
            all.digits.extend_from_slice(&digits[begin..]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let key = Key { shard: 0x0123_4567_89ab_cdef, place: 0xf };
        let name = Name::new(key);
        assert_eq!(name.bytes(), b"weir:rl1:{0123456789abcdef}000000000000000f");
        assert_eq!(&name.with(*b":b")[..], b"weir:rl1:{0123456789abcdef}000000000000000f:b");
    }

    #[test]
    fn numbers() {
        let numbers = [0, 1, -1, 10, 1_795_000_000_123_456, i64::MAX, i64::MIN];
        let texts = Numbers::new(numbers);
        let expected: Vec<_> = numbers.iter().map(ToString::to_string).collect();
        let expected: Vec<_> = expected.iter().map(String::as_bytes).collect();
        assert_eq!(&texts.bytes()[..], &expected[..]);
    }
}
