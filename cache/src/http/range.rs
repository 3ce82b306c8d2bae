//! Parts of a stored body (RFC 9110 section 14).

use std::ops::Range;

/// More parts than that are not made: the whole is sent (RFC 9110 section 17.15).
const PARTS_MAX: usize = 16;

/// What a `Range` asks of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// The whole: there is no range, or none that can be read or is worth it.
    Whole,
    /// These, in the order asked for; at least one, none empty.
    Some(Vec<Range<usize>>),
    /// Nothing that the body has.
    Unsatisfiable,
}

impl Parts {
    /// The parts that `range` means of a body of `length` bytes.
    pub fn of(range: &[u8], length: usize) -> Self {
        let Some(specifiers) = specifiers(range) else { return Self::Whole };
        let mut parts: Vec<Range<usize>> = Vec::new();
        for (first, last) in specifiers {
            let part = match (first, last) {
                (Some(first), _) if first >= length => continue,
                (Some(first), last) => {
                    first..last.map_or(length, |l| l.saturating_add(1).min(length))
                }
                (None, Some(suffix)) => length.saturating_sub(suffix)..length,
                (None, None) => return Self::Whole,
            };
            if !part.is_empty() {
                parts.push(part);
            }
        }
        // Overlapping or many small parts would be more to send than the whole.
        let total: usize = parts.iter().map(ExactSizeIterator::len).sum();
        match parts.len() {
            0 => Self::Unsatisfiable,
            1 => Self::Some(parts),
            2..=PARTS_MAX if total <= length && !overlap(&parts) => Self::Some(parts),
            _ => Self::Whole,
        }
    }
}

type Specifier = (Option<usize>, Option<usize>);

/// First and last byte of each range; nothing if any is malformed, since the whole field is then.
fn specifiers(range: &[u8]) -> Option<Vec<Specifier>> {
    let (unit, set) = range.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(())?;
    let members = set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut specifiers = Vec::new();
    for member in members.filter(|member| !member.is_empty()) {
        let dash = member.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (number(&member[..dash])?, number(&member[dash + 1..])?);
        let good = match (first, last) {
            (Some(first), Some(last)) => first <= last,
            (first, last) => first.is_some() || last.is_some(),
        };
        if !good || specifiers.len() == 4 * PARTS_MAX {
            return None;
        }
        specifiers.push((first, last));
    }
    (!specifiers.is_empty()).then_some(specifiers)
}

/// A number or nothing at all; what is too large is as large as can be.
fn number(text: &[u8]) -> Option<Option<usize>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.iter().all(u8::is_ascii_digit);
    let value = text.iter().fold(0_usize, |sum, digit| {
        sum.saturating_mul(10).saturating_add(usize::from(digit.wrapping_sub(b'0')))
    });
    digits.then_some(Some(value))
}

fn overlap(parts: &[Range<usize>]) -> bool {
    let mut sorted: Vec<_> = parts.iter().collect();
    sorted.sort_by_key(|part| part.start);
    sorted.windows(2).any(|pair| pair[1].start < pair[0].end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(range: &str) -> Parts {
        Parts::of(range.as_bytes(), 10)
    }

    fn one(part: Range<usize>) -> Parts {
        Parts::Some(vec![part])
    }

    #[test]
    fn reads_ranges() {
        assert_eq!(of("bytes=0-1"), one(0..2));
        assert_eq!(of("Bytes=1-"), one(1..10));
        assert_eq!(of("bytes=-1"), one(9..10));
        assert_eq!(of("bytes=-99"), one(0..10));
        assert_eq!(of("bytes=5-99999999999999999999999"), one(5..10));
        assert_eq!(of("bytes=8-9, 0-1,, -3"), Parts::Whole);
        assert_eq!(of("bytes=8-9, 0-1, 20-"), Parts::Some(vec![8..10, 0..2]));
        assert_eq!(of("bytes=20-30, 0-0"), one(0..1));
    }

    #[test]
    fn what_the_body_has_not_is_unsatisfiable() {
        for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(range), Parts::Unsatisfiable, "{range}");
        }
        assert_eq!(Parts::of(b"bytes=0-", 0), Parts::Unsatisfiable);
        assert_eq!(Parts::of(b"bytes=-5", 0), Parts::Unsatisfiable);
    }

    #[test]
    fn what_cannot_be_read_or_is_not_worth_it_is_the_whole() {
        for range in
            ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "lines=0-1", "bytes=0-1,x"]
        {
            assert_eq!(of(range), Parts::Whole, "{range}");
        }
        assert_eq!(of("bytes=0-5,3-7"), Parts::Whole);
        assert_eq!(of("bytes= 0-1"), one(0..2));
        let many: String = (0..=PARTS_MAX).map(|i| format!("{}-{},", i * 2, i * 2)).collect();
        assert_eq!(Parts::of(format!("bytes={many}").as_bytes(), 1_000), Parts::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_in_the_body(range in "(bytes=)?[0-9,\\- ]{0,30}", length in 0..200_usize) {
            if let Parts::Some(parts) = Parts::of(range.as_bytes(), length) {
                prop_assert!(!parts.is_empty() && parts.len() <= PARTS_MAX);
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
            }
        }

        #[test]
        fn never_panics(
            range in prop::collection::vec(any::<u8>(), 0..40),
            length in any::<usize>(),
        ) {
            Parts::of(&range, length);
        }
    }
}
