//! Conditions beside host and path: method, header fields, query parameters.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{self, AsHeaderName},
};
use smallvec::SmallVec;
use weir_config::model::{RouteMatch, ValueMatch};

use crate::http::path::escaped;

const STANDARD: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

/// Fields of a request that its preflight neither has nor names, or has with another value.
const UNANNOUNCED: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::RANGE,
];

/// A set of methods; those of RFC 9110 and PATCH are one bit each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodSet {
    standard: u16,
    others: SmallVec<[Method; 1]>,
}

impl MethodSet {
    /// Whether no method is in it.
    pub fn is_empty(&self) -> bool {
        self.standard == 0 && self.others.is_empty()
    }

    /// Whether this method is in it.
    pub fn contains(&self, method: &Method) -> bool {
        match bit(method) {
            Some(bit) => self.standard & bit != 0,
            None => self.others.contains(method),
        }
    }

    /// The methods, common ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        STANDARD.iter().filter(|method| self.contains(method)).chain(&self.others)
    }

    /// The value of an `Allow` field (RFC 9110 section 10.2.1).
    pub fn to_allow(&self) -> HeaderValue {
        let names: Vec<&str> = self.iter().map(Method::as_str).collect();
        // A method is a token (RFC 9110 section 9.1), and every list of tokens is a field value.
        HeaderValue::try_from(names.join(", ")).expect("tokens are a field value")
    }

    pub(super) fn insert(&mut self, method: &Method) {
        match bit(method) {
            Some(bit) => self.standard |= bit,
            None if self.others.contains(method) => {}
            None => self.others.push(method.clone()),
        }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.standard |= other.standard;
        other.others.iter().for_each(|method| self.insert(method));
    }
}

impl<'a> FromIterator<&'a Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = &'a Method>>(methods: I) -> Self {
        let mut set = Self::default();
        methods.into_iter().for_each(|method| set.insert(method));
        set
    }
}

fn bit(method: &Method) -> Option<u16> {
    STANDARD.iter().position(|standard| standard == method).map(|index| 1 << index)
}

/// What a route asks of a request beside host and path.
#[derive(Debug)]
pub(super) struct Conditions {
    /// Empty is any but CONNECT; with GET always HEAD too.
    pub(super) methods: MethodSet,
    pub(super) headers: Box<[(HeaderName, ValueMatch)]>,
    pub(super) query: Box<[(String, ValueMatch)]>,
}

/// What became of a route's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All hold.
    Holds,
    /// All but the one on the method.
    Method,
    /// The header condition of this index failed.
    Header(usize),
    /// The query condition of this index failed.
    Query(usize),
}

impl Conditions {
    pub(super) fn new(matches: &RouteMatch) -> Self {
        let mut methods: MethodSet = matches.methods.iter().collect();
        // Whatever answers GET answers HEAD (RFC 9110 section 9.3.2).
        if methods.contains(&Method::GET) {
            methods.insert(&Method::HEAD);
        }
        Self {
            methods,
            headers: matches.headers.as_slice().into(),
            query: matches.query.as_slice().into(),
        }
    }

    /// How many there are; more are more specific. A list of methods is one.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len() + self.query.len()
    }

    /// A repeated parameter fulfils a condition when one of its values does; whether a field does
    /// is for `has` to say.
    pub(super) fn check(
        &self,
        query: Option<&str>,
        method: &Method,
        has: impl Fn(&HeaderName, &ValueMatch) -> bool,
    ) -> Verdict {
        let failed = |(name, value): &(HeaderName, ValueMatch)| !has(name, value);
        if let Some(index) = self.headers.iter().position(failed) {
            return Verdict::Header(index);
        }
        let failed = |(name, value): &(String, ValueMatch)| !has_parameter(query, name, value);
        if let Some(index) = self.query.iter().position(failed) {
            return Verdict::Query(index);
        }
        let any = self.methods.is_empty() && *method != Method::CONNECT;
        if any || self.methods.contains(method) { Verdict::Holds } else { Verdict::Method }
    }
}

/// Whether a field, or one of several, fulfils a condition.
pub(super) fn has_field(headers: &HeaderMap, name: impl AsHeaderName, value: &ValueMatch) -> bool {
    headers.get_all(name).iter().any(|found| holds(value, found.as_bytes()))
}

/// Whether the request that a CORS preflight announces may have a field that fulfils a condition.
/// What a page's script adds is named by the preflight (Fetch, section 4.8), without its value;
/// what needs no leave, and what browsers add by themselves, is not. Anything else comes with the
/// preflight as well, or not at all.
pub(super) fn may_have_field(preflight: &HeaderMap, name: &HeaderName, value: &ValueMatch) -> bool {
    if UNANNOUNCED.contains(name) {
        return true;
    }
    if preflight.contains_key(name) {
        return has_field(preflight, name, value);
    }
    let lists = preflight.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let mut names = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    name.as_str().starts_with("sec-")
        || names.any(|one| one.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

fn has_parameter(query: Option<&str>, name: &str, value: &ValueMatch) -> bool {
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).any(|pair| {
        let (key, found) = pair.split_once('=').unwrap_or((pair, ""));
        *decoded(key) == *name.as_bytes() && holds(value, &decoded(found))
    })
}

fn holds(condition: &ValueMatch, value: &[u8]) -> bool {
    match condition {
        ValueMatch::Present => true,
        ValueMatch::Exact(expected) => expected.as_bytes() == value,
        ValueMatch::Regex(regex) => {
            std::str::from_utf8(value).is_ok_and(|value| regex.is_match(value))
        }
    }
}

/// Decodes a query component as forms do: `%XX` and `+`; an invalid escape stands for itself.
pub(crate) fn decoded(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let escape = (byte == b'%')
            .then(|| escaped(bytes.get(index + 1).copied(), bytes.get(index + 2).copied()));
        match escape {
            Some(Ok(byte)) => {
                out.push(byte);
                index += 2;
            }
            _ if byte == b'+' => out.push(b' '),
            _ => out.push(byte),
        }
        index += 1;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn methods_are_listed_for_allow() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let set: MethodSet =
            [&purge, &Method::POST, &Method::GET, &Method::GET, &purge].into_iter().collect();
        assert_eq!(set.to_allow(), "GET, POST, PURGE");
        assert!(set.contains(&purge) && set.contains(&Method::GET));
        assert!(!set.contains(&Method::PUT) && !set.is_empty());
        assert_eq!(MethodSet::default().to_allow(), "");
    }

    #[test]
    fn query_parameters_are_decoded_before_they_are_compared() {
        let is = |text: &str| ValueMatch::Exact(text.into());
        let table = [
            ("v=2", "v", is("2"), true),
            ("v=22", "v", is("2"), false),
            ("a=1&v=2", "v", is("2"), true),
            ("v=1&v=2", "v", is("2"), true),
            ("%76=%32", "v", is("2"), true),
            ("v=a+b", "v", is("a b"), true),
            ("v=a%2Bb", "v", is("a+b"), true),
            ("v=%C3%A9", "v", is("\u{e9}"), true),
            ("v=%zz%4", "v", is("%zz%4"), true),
            ("v", "v", is(""), true),
            ("v=", "v", is(""), true),
            ("v=a=b", "v", is("a=b"), true),
            ("&&", "", ValueMatch::Present, false),
            ("v", "v", ValueMatch::Present, true),
            ("w=v", "v", ValueMatch::Present, false),
            ("v=12", "v", ValueMatch::Regex(Regex::new("^[0-9]+$").unwrap()), true),
            ("v=%ff", "v", ValueMatch::Regex(Regex::new("").unwrap()), false),
        ];
        for (query, name, value, expected) in table {
            assert_eq!(has_parameter(Some(query), name, &value), expected, "{query} {value:?}");
        }
        assert!(!has_parameter(None, "v", &ValueMatch::Present));
    }

    #[test]
    fn one_of_several_fields_is_enough() {
        let mut headers = HeaderMap::new();
        headers.append("x-beta", HeaderValue::from_static("0"));
        headers.append("x-beta", HeaderValue::from_static("1"));
        headers.append("x-raw", HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(has_field(&headers, "x-beta", &ValueMatch::Exact("1".into())));
        assert!(!has_field(&headers, "x-beta", &ValueMatch::Exact("2".into())));
        assert!(!has_field(&headers, "x-gamma", &ValueMatch::Present));
        assert!(has_field(&headers, "x-raw", &ValueMatch::Present));
        assert!(!has_field(&headers, "x-raw", &ValueMatch::Regex(Regex::new("").unwrap())));
    }
}
