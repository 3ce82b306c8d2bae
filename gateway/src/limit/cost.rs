//! What a request costs: a number of the configuration, or of a header.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The number that a header names: the first value, if it is a whole number; what is beyond 64 bits
/// counts as the largest.
pub(super) fn named(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name).and_then(number)
}

fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes().trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add =
        |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(*digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_count() {
        let table = [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("1, 2", None),
            ("ten", None),
        ];
        for (text, expected) in table {
            assert_eq!(number(&HeaderValue::from_static(text)), expected, "{text:?}");
        }
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("x-cost");
        assert_eq!(named(&headers, &name), None);
        headers.append(&name, HeaderValue::from_static("3"));
        headers.append(&name, HeaderValue::from_static("4"));
        assert_eq!(named(&headers, &name), Some(3));
    }
}
