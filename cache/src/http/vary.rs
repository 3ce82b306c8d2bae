//! Which stored variant a request selects (RFC 9111 section 4.1).

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, VARY},
};

/// More names than that in `Vary` are taken for `*`.
const NAMES_MAX: usize = 16;

/// What a response says that it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vary {
    /// These fields of the request; none if there is no `Vary`.
    Fields(Vec<HeaderName>),
    /// On more than can be told: it is never selected.
    Anything,
}

impl Vary {
    /// The `Vary` of a response. What cannot be read is taken for `*`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut names = Vec::new();
        let members = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(is_comma));
        for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            match HeaderName::from_bytes(member) {
                Ok(name) if member != b"*" && names.len() < NAMES_MAX => {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                Ok(_) | Err(_) => return Self::Anything,
            }
        }
        Self::Fields(names)
    }
}

/// What selected a stored response: the fields named by its `Vary` as its request had them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Each field with its normalised value; none if the request did not have it.
    fields: Vec<(HeaderName, Option<Box<[u8]>>)>,
    /// The one language of the content, in lower case, if the language was negotiated.
    language: Option<Box<[u8]>>,
}

impl Selection {
    /// The selection of a response with these `names` in `Vary`.
    pub fn of(names: Vec<HeaderName>, request: &HeaderMap, response: &HeaderMap) -> Self {
        let negotiated = names.contains(&ACCEPT_LANGUAGE);
        let language = response.get(CONTENT_LANGUAGE).map(|value| value.as_bytes());
        let language = language.filter(|text| negotiated && !text.iter().any(is_comma));
        let value = |name: HeaderName| {
            let value = normalise(&name, request);
            (name, value)
        };
        Self {
            fields: names.into_iter().map(value).collect(),
            language: language.map(|text| text.trim_ascii().to_ascii_lowercase().into()),
        }
    }

    /// Whether `request` selects the response.
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.fields.iter().all(|(name, value)| {
            // Most often the same bytes, or the field is in neither.
            normalise(name, request) == *value
                || (*name == ACCEPT_LANGUAGE && self.is_best_language(request))
        })
    }

    /// The fields that the selection depends on.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields.iter().map(|(name, _)| name)
    }

    /// How many fields the selection depends on.
    pub const fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether every request selects the response.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Bytes it takes.
    pub(crate) fn weight(&self) -> u64 {
        let value = |(_, value): &(_, Option<Box<[u8]>>)| {
            48 + value.as_ref().map_or(0, |value| value.len() as u64)
        };
        self.fields.iter().map(value).sum()
    }

    /// Whether the language that the request likes best, alone, is the one of the content: then no
    /// negotiation could have come to something else (RFC 9110 section 12.5.4).
    fn is_best_language(&self, request: &HeaderMap) -> bool {
        let Some(language) = &self.language else { return false };
        let lines = combine(&ACCEPT_LANGUAGE, request);
        let preferences = lines.as_deref().map(preferences).unwrap_or_default();
        let Some((best, weight)) = preferences.first() else { return false };
        let tied = preferences.get(1).is_some_and(|(_, other)| other == weight);
        best[..] == language[..] && *weight > 0 && !tied
    }
}

const fn is_comma(byte: &u8) -> bool {
    *byte == b','
}

/// A field in a form in which two that mean the same are often equal; none if it is not there.
/// Lists of preferences are sorted; other fields have their lines joined and the white space at
/// commas removed (RFC 9111 section 4.1).
fn normalise(name: &HeaderName, request: &HeaderMap) -> Option<Box<[u8]>> {
    let value = combine(name, request)?;
    if ![ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name) {
        return Some(value.into());
    }
    let mut text = Vec::with_capacity(value.len());
    for (member, weight) in preferences(&value) {
        text.extend_from_slice(&member);
        text.extend_from_slice(&weight.to_be_bytes());
        text.push(b',');
    }
    Some(text.into())
}

/// All lines of a field as one, without white space at the commas and without empty members.
fn combine(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = request.get_all(name).iter().peekable();
    lines.peek()?;
    let members = lines.flat_map(|line| line.as_bytes().split(is_comma));
    let members = members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    Some(members.collect::<Vec<_>>().join(&b','))
}

/// The members of a list of preferences with their weights in thousandths, the best first and equal
/// ones by name (RFC 9110 section 12.4.2).
fn preferences(list: &[u8]) -> Vec<(Vec<u8>, u16)> {
    let mut members: Vec<_> = list
        .split(is_comma)
        .map(|member| {
            let lower = member.to_ascii_lowercase();
            let mut parts = lower.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let mut name = parts.next().unwrap_or_default().to_vec();
            let mut weight = 1_000;
            for part in parts {
                match part.strip_prefix(b"q=") {
                    Some(text) => weight = thousandths(text),
                    None => name = [&name, part].join(&b';'),
                }
            }
            (name, weight)
        })
        .collect();
    members.sort_by(|(a, a_weight), (b, b_weight)| b_weight.cmp(a_weight).then_with(|| a.cmp(b)));
    members.dedup();
    members
}

/// `0.5` as 500; what is no weight is a weight of its own, so that it equals only itself.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, fraction) = match text {
        [whole] => (whole, &b""[..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return u16::MAX,
    };
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u16::from(digit.wrapping_sub(b'0')));
    let good = (*whole == b'0' || *whole == b'1') && fraction.iter().all(u8::is_ascii_digit);
    let value = u16::from(whole.wrapping_sub(b'0')).wrapping_mul(1_000);
    if !good {
        return u16::MAX;
    }
    (value + digit(0) * 100 + digit(1) * 10 + digit(2)).min(1_000)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn reads_vary() {
        let vary = |lines: &[(&str, &str)]| Vary::of(&headers(lines));
        assert_eq!(vary(&[]), Vary::Fields(Vec::new()));
        let names = vec![HeaderName::from_static("foo"), ACCEPT];
        assert_eq!(vary(&[("vary", "Foo,, foo"), ("vary", " ACCEPT")]), Vary::Fields(names));
        for text in ["*", "*, *", ", *", "*, Foo", "Foo, *", "a b", "\"x\""] {
            assert_eq!(vary(&[("vary", text)]), Vary::Anything, "{text}");
        }
        assert_eq!(vary(&[("vary", ""), ("vary", "*")]), Vary::Anything);
        let many: String = (0..=NAMES_MAX).map(|i| format!("x{i},")).collect();
        assert_eq!(vary(&[("vary", &many)]), Vary::Anything);
    }

    fn selects(name: &str, stored: &[&str], presented: &[&str]) -> bool {
        let lines =
            |values: &[&str]| headers(&values.iter().map(|v| (name, *v)).collect::<Vec<_>>());
        let names = vec![HeaderName::try_from(name).unwrap()];
        Selection::of(names, &lines(stored), &HeaderMap::new()).matches(&lines(presented))
    }

    #[test]
    fn the_same_selects() {
        assert!(selects("foo", &["1"], &["1"]));
        assert!(selects("foo", &[], &[]));
        assert!(selects("foo", &["1, 2"], &["1", "2"]));
        assert!(selects("foo", &["1,2"], &[" 1, 2 "]));
        assert!(selects("accept-language", &["en, de"], &["de, en"]));
        assert!(selects("accept-language", &["en, de"], &["eN, De"]));
        assert!(selects("accept-language", &["en, de;q=0.5"], &["de; q=0.50,en;q=1"]));
        assert!(selects("accept-encoding", &["gzip, br"], &["br,gzip"]));
        assert!(selects("accept", &["a/b;x=1;q=0.7, */*"], &["*/*,A/b; x=1;q=0.700"]));
    }

    #[test]
    fn another_does_not() {
        assert!(!selects("foo", &["1"], &["2"]));
        assert!(!selects("foo", &["1"], &[]));
        assert!(!selects("foo", &[], &["1"]));
        assert!(!selects("foo", &[], &[""]));
        assert!(!selects("foo", &["a"], &["A"]));
        assert!(!selects("foo", &["1, 2"], &["2, 1"]));
        assert!(!selects("accept-language", &["en, de"], &["en, de;q=0.9"]));
        assert!(!selects("accept-encoding", &["gzip"], &["gzip;q=0"]));
        assert!(!selects("accept-encoding", &["gzip;q=x"], &["gzip"]));
    }

    #[test]
    fn the_language_that_is_liked_best_selects() {
        let names = || vec![ACCEPT_LANGUAGE];
        let request = |value| headers(&[("accept-language", value)]);
        let response = headers(&[("content-language", "De")]);
        let selection = Selection::of(names(), &request("en, de"), &response);
        assert!(selection.matches(&request("fr;q=0.5, de;q=1.0")));
        for other in ["fr, de", "fr;q=0.9, de;q=0.5", "de-at", "de;q=0", ""] {
            assert!(!selection.matches(&request(other)), "{other}");
        }
        let two = headers(&[("content-language", "de, en")]);
        let selection = Selection::of(names(), &request("en, de"), &two);
        assert!(!selection.matches(&request("de")));
    }

    proptest! {
        #[test]
        fn never_panics_and_always_selects_itself(
            name in 0..4_usize,
            values in prop::collection::vec(prop::collection::vec(32..=255_u8, 0..30), 0..4),
        ) {
            let name = [ACCEPT, ACCEPT_LANGUAGE, VARY, CONTENT_LANGUAGE][name].clone();
            let mut request = HeaderMap::new();
            for value in values {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    request.append(name.clone(), value);
                }
            }
            Vary::of(&request);
            prop_assert!(Selection::of(vec![name], &request, &request).matches(&request));
        }

        #[test]
        fn weights_are_read_or_not(text in "[01x.]{0,2}[0-9.]{0,4}") {
            let weight = thousandths(text.as_bytes());
            prop_assert!(weight <= 1_000 || weight == u16::MAX);
        }
    }
}
