//! What a route's configuration makes of the key: parameters that are dropped, fields and cookies
//! that count.
//!
//! A value must never count as another than the one that the origin goes by, or one client could
//! choose what others get. Hence a dropped parameter does not go upstream either, and what can be
//! read in more than one way counts whole.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, header::COOKIE};
use weir_config::model::{CacheKey, Parameters, QueryKey};

use crate::{limit::key::Subject, route::decoded};

/// The query that is kept, in the key and in what goes upstream.
pub(super) fn query<'a>(key: &QueryKey, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    let query = query?;
    if key.parameters == Parameters::All && !key.sort {
        return Some(query.into());
    }
    let name = |pair: &'a str| decoded(pair.split_once('=').map_or(pair, |(name, _)| name));
    let keeps = |pair: &&'a str| match &key.parameters {
        Parameters::All => true,
        Parameters::Only(names) => names.iter().any(|one| one.matches(&name(pair))),
        Parameters::Without(names) => !names.iter().any(|one| one.matches(&name(pair))),
    };
    let mut pairs: Vec<_> =
        query.split('&').filter(|pair| !pair.is_empty()).filter(keeps).collect();
    if key.sort {
        // Those of one name keep their order, in which origins may see a meaning.
        pairs.sort_by_cached_key(|pair| name(pair));
    }
    (!pairs.is_empty()).then(|| pairs.join("&").into())
}

/// Adds to `out` the fields and cookies that count. No name or value holds a NUL.
pub(super) fn write(key: &CacheKey, headers: &HeaderMap, out: &mut Vec<u8>) {
    for name in &key.headers {
        write_field(name, headers, out);
    }
    if key.cookies.is_empty() {
        return;
    }
    let lines = || headers.get_all(COOKIE).iter().map(|line| line.as_bytes());
    if !lines().all(is_plain) {
        return write_field(&COOKIE, headers, out);
    }
    for pair in lines().flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii) {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or(pair);
        if key.cookies.iter().any(|one| is_alike(one.as_bytes(), name)) {
            out.extend_from_slice(b"\0;");
            out.extend_from_slice(pair);
        }
    }
}

/// Adds what expressions make of a request; `false` where one makes nothing: whoever it is for, the
/// answer may be for nobody else.
pub(super) fn write_values(key: &CacheKey, subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    key.lua.iter().all(|value| {
        let made = subject.lua.and_then(|lua| lua.compute(&value.text, subject));
        if let Some(made) = &made {
            // A value may hold any byte: its length says where it ends.
            out.extend_from_slice(b"\0=");
            out.extend_from_slice(&(made.len() as u32).to_be_bytes());
            out.extend_from_slice(made);
        }
        made.is_some()
    })
}

/// Adds all lines of a field.
pub(super) fn write_field(name: &HeaderName, headers: &HeaderMap, out: &mut Vec<u8>) {
    for value in headers.get_all(name) {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            out.push(0);
            out.extend_from_slice(part);
        }
    }
}

/// Whether all take a line of cookies for the same: names are tokens, and there is neither a quote
/// nor, within a pair, a comma or a space, at which some split (RFC 2965, Python's `http.cookies`),
/// nor an escape in a name, nor a value without one, of which some make two.
fn is_plain(line: &[u8]) -> bool {
    let plain = |pair: &[u8]| {
        let pair = pair.trim_ascii();
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or(pair);
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#&'*+-.^_`|~".contains(byte);
        let visible = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',');
        pair.iter().all(visible) && name.iter().all(token) && name.is_empty() == pair.is_empty()
    };
    line.split(|byte| *byte == b';').all(plain)
}

/// Whether some take two names for the same: case, and marks that are no part of an identifier.
fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'.' { b'_' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(plain).eq(other.iter().map(plain))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use http::HeaderValue;
    use weir_config::model::{At, LuaValue, ParameterName};

    use super::*;
    use crate::limit::key::Compute;

    fn names(names: &[&str]) -> Vec<ParameterName> {
        let name = |name: &&str| ParameterName {
            text: name.trim_end_matches('*').to_owned(),
            is_prefix: name.ends_with('*'),
        };
        names.iter().map(name).collect()
    }

    #[test]
    fn queries_are_kept_dropped_and_sorted() {
        let drop = Parameters::Without(names(&["utm_*", "fbclid", "gr\u{f6}\u{df}e"]));
        let keep = Parameters::Only(names(&["q", "page"]));
        let cases = [
            (Parameters::All, false, "b=2&&a=1&", Some("b=2&&a=1&")),
            (Parameters::All, true, "b=2&&a=2&%61=1&", Some("a=2&%61=1&b=2")),
            (drop.clone(), false, "utm_x=1&a=1&fbclid=2&fbclid2", Some("a=1&fbclid2")),
            (drop.clone(), false, "gr%c3%b6%C3%9Fe=1&utm%5fx&a=%", Some("a=%")),
            (drop, false, "utm_source=x", None),
            (keep.clone(), true, "page=2&x=1&q=a&page=1", Some("page=2&page=1&q=a")),
            (keep, false, "", None),
            (Parameters::Only(Vec::new()), false, "a=1", None),
        ];
        for (parameters, sort, text, expected) in cases {
            let key = QueryKey { parameters, sort };
            assert_eq!(query(&key, Some(text)).as_deref(), expected, "{text}");
            assert_eq!(query(&key, None), None);
        }
    }

    fn written(lines: &[(&'static str, &str)]) -> String {
        let key = CacheKey {
            headers: vec![HeaderName::from_static("x-tenant")],
            cookies: vec!["a_b".to_owned()],
            ..CacheKey::default()
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let mut out = Vec::new();
        write(&key, &headers, &mut out);
        String::from_utf8(out).unwrap().replace('\0', "|")
    }

    #[test]
    fn fields_and_cookies_count_with_all_their_values() {
        assert_eq!(written(&[("cookie", "other=1"), ("x-other", "1")]), "");
        assert_eq!(written(&[("x-tenant", "")]), "|x-tenant|");
        assert_eq!(written(&[("x-tenant", "1"), ("x-tenant", "2")]), "|x-tenant|1|x-tenant|2");
        assert_eq!(
            written(&[("cookie", "c=1; a_b=2;a_b=3"), ("cookie", "a_b")]),
            "|;a_b=2|;a_b=3|;a_b"
        );
    }

    /// Makes of `none` nothing, and of other expressions themselves.
    #[derive(Debug)]
    struct Echo;

    impl Compute for Echo {
        fn compute(&self, expression: &str, _: &Subject<'_>) -> Option<Rc<[u8]>> {
            (expression != "none").then(|| expression.as_bytes().into())
        }
    }

    #[test]
    fn values_count_apart_and_one_that_is_missing_keeps_all_out() {
        let headers = HeaderMap::new();
        let subject = Subject {
            client: None,
            headers: &headers,
            path: "/",
            query: None,
            route: "r",
            identity: None,
            lua: Some(&Echo),
        };
        let made = |texts: &[&str], subject: &Subject<'_>| {
            let value = |text: &&str| LuaValue { at: At::default(), text: (*text).to_owned() };
            let key = CacheKey { lua: texts.iter().map(value).collect(), ..CacheKey::default() };
            let mut out = Vec::new();
            write_values(&key, subject, &mut out).then_some(out)
        };
        assert_eq!(made(&[], &subject), Some(Vec::new()));
        assert_ne!(made(&["ab", "c"], &subject), made(&["a", "bc"], &subject));
        assert_ne!(made(&["a"], &subject), made(&["a", ""], &subject));
        assert_eq!(made(&["a", "none"], &subject), None);
        assert_eq!(made(&["a"], &Subject { lua: None, ..subject }), None);
    }

    #[test]
    fn what_some_take_for_the_cookie_counts_too() {
        assert_eq!(written(&[("cookie", "A.B=2")]), "|;A.B=2");
        let odd = [
            "x=1,a_b=2",
            "x=\"; a_b=2\"",
            "a_b =2",
            "a_b= 2",
            "a%5fb=2",
            "a_b[]=2",
            "$a_b=2",
            "a b=2",
            "a_b=1; x=1 a_b=2",
            "a_b=1; x=1\ta_b=2",
            "a_b=1; =a_b=2",
        ];
        for odd in odd {
            assert_eq!(written(&[("cookie", odd)]), format!("|cookie|{odd}"));
        }
    }
}
