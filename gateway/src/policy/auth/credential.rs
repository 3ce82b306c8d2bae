//! Where a request carries a credential.

use std::borrow::Cow;

use http::{HeaderMap, header, header::AUTHORIZATION};
use weir_config::model::CredentialPlace;

use crate::route::decoded;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Nothing.
    Nothing,
    /// A credential.
    One(Cow<'a, [u8]>),
    /// Several where there is one: nobody knows which of them the next server reads.
    Several,
}

/// The first of `places` that carries something.
pub(crate) fn find<'a>(
    places: &[CredentialPlace],
    headers: &'a HeaderMap,
    query: Option<&'a str>,
) -> Found<'a> {
    let at = |place: &CredentialPlace| match place {
        CredentialPlace::Header(name) if *name == AUTHORIZATION => scheme(headers, b"bearer"),
        CredentialPlace::Header(name) => single(headers, name.as_str(), |value| {
            // As some clients write it there, too.
            Some(strip_scheme(value, b"bearer").unwrap_or(value))
        }),
        CredentialPlace::Cookie(name) => cookie(headers, name),
        CredentialPlace::Query(name) => parameter(query, name),
    };
    places.iter().map(at).find(|found| *found != Found::Nothing).unwrap_or(Found::Nothing)
}

/// What `Authorization` holds under a scheme, written in lower case.
pub(crate) fn scheme<'a>(headers: &'a HeaderMap, scheme: &[u8]) -> Found<'a> {
    let found = single(headers, AUTHORIZATION.as_str(), |value| strip_scheme(value, scheme));
    // Of several, one may be of this scheme: that is for whoever asks for it to refuse.
    let any = || {
        let lines = headers.get_all(AUTHORIZATION).iter();
        lines.into_iter().any(|line| strip_scheme(line.as_bytes(), scheme).is_some())
    };
    if found == Found::Several && !any() { Found::Nothing } else { found }
}

/// What follows a scheme (RFC 9110 section 11.4), whose name may be in any case.
fn strip_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (word, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?.trim_ascii();
    word.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &str,
    read: impl Fn(&'a [u8]) -> Option<&'a [u8]>,
) -> Found<'a> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Found::Nothing,
        (Some(_), Some(_)) => Found::Several,
        (Some(line), None) => {
            read(line.as_bytes()).map_or(Found::Nothing, |value| Found::One(Cow::Borrowed(value)))
        }
    }
}

/// The cookie of this name (RFC 6265 section 4.2.1).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Found<'a> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let end = pair.iter().position(|byte| *byte == b'=')?;
        let named = pair[..end].trim_ascii_end() == name.as_bytes();
        named.then(|| unquoted(pair[end + 1..].trim_ascii()))
    });
    one(values.map(Cow::Borrowed))
}

/// The parameter of this name.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Found<'a> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let values = pairs.filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (*decoded(key) == *name.as_bytes()).then(|| decoded(value))
    });
    one(values)
}

fn one<'a>(mut values: impl Iterator<Item = Cow<'a, [u8]>>) -> Found<'a> {
    match (values.next(), values.next()) {
        (None, _) => Found::Nothing,
        (Some(value), None) => Found::One(value),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// A cookie's value may stand in quotes (RFC 6265 section 4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn header(name: &'static str) -> CredentialPlace {
        CredentialPlace::Header(HeaderName::from_static(name))
    }

    fn at(place: CredentialPlace, lines: &[(&'static str, &str)], query: &str) -> Option<String> {
        match find(&[place], &headers(lines), Some(query)) {
            Found::Nothing => None,
            Found::One(value) => Some(String::from_utf8(value.into_owned()).unwrap()),
            Found::Several => Some("several".into()),
        }
    }

    #[test]
    fn a_bearer_token_follows_its_scheme() {
        let of = |lines: &[(&'static str, &str)]| at(header("authorization"), lines, "");
        assert_eq!(of(&[("authorization", "Bearer abc")]).as_deref(), Some("abc"));
        assert_eq!(of(&[("authorization", "bEARER   abc ")]).as_deref(), Some("abc"));
        assert_eq!(of(&[("authorization", "Basic abc")]), None);
        assert_eq!(of(&[("authorization", "Bearerabc")]), None);
        assert_eq!(of(&[("authorization", "Bearer")]), None);
        assert_eq!(of(&[("authorization", "")]), None);
        assert_eq!(of(&[]), None);
        let two = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(of(&two).as_deref(), Some("several"));
        let mixed = [("authorization", "Basic a"), ("authorization", "Bearer b")];
        assert_eq!(of(&mixed).as_deref(), Some("several"));
        let others = [("authorization", "Basic a"), ("authorization", "Digest b")];
        assert_eq!(of(&others), None, "none of them is a token");
    }

    #[test]
    fn other_places_hold_the_token_itself() {
        let line = [("x-token", "abc"), ("cookie", "a=1; t=xyz; t2=q"), ("cookie", "u=\"v\"")];
        assert_eq!(at(header("x-token"), &line, "").as_deref(), Some("abc"));
        let prefixed = [("x-token", "Bearer abc")];
        assert_eq!(at(header("x-token"), &prefixed, "").as_deref(), Some("abc"));
        let cookie = |name: &str| at(CredentialPlace::Cookie(name.into()), &line, "");
        assert_eq!(cookie("t").as_deref(), Some("xyz"));
        assert_eq!(cookie("u").as_deref(), Some("v"));
        assert_eq!(cookie("T"), None);
        let query = |text: &str| at(CredentialPlace::Query("t".into()), &[], text);
        assert_eq!(query("a=1&t=x%2Ey").as_deref(), Some("x.y"));
        assert_eq!(query("t=1&t=2").as_deref(), Some("several"));
        assert_eq!(query("t"), None);
    }

    #[test]
    fn the_first_place_counts() {
        let headers = headers(&[("x-a", "1"), ("x-b", "2")]);
        let found = find(&[header("x-c"), header("x-b"), header("x-a")], &headers, None);
        assert_eq!(found, Found::One(Cow::Borrowed(b"2")));
    }
}
