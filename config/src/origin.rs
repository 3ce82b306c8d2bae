//! Origins, as browsers write them (RFC 6454, section 6.2).

use regex::{Regex, RegexBuilder};

use crate::{
    decode::Complaint,
    defaults::ORIGIN,
    model::{Origin, ValueMatch},
    pattern,
    yaml::shorten,
};

/// Longest origin, in bytes.
const ORIGIN_MAX: usize = 2048;

/// Reads `https://example.com`, `https://*.example.com:8443`, `null` or `~ regex`.
pub(crate) fn origin(text: &str) -> Result<Origin, Complaint> {
    if text.starts_with('~') {
        return regex(text);
    }
    let complaint = || Complaint::new(format!("expected {ORIGIN}, found `{}`", shorten(text)));
    if text.len() > ORIGIN_MAX {
        return Err(complaint());
    }
    if text == "null" {
        return Ok(Origin::Exact(text.to_owned()));
    }
    let lower = text.to_ascii_lowercase();
    let Some((scheme, place)) = lower.split_once("://") else {
        return Err(complaint().hint(format!("with its scheme: `https://{}`", shorten(text))));
    };
    if !is_scheme(scheme) {
        return Err(complaint());
    }
    if let Some(slash) = place.find('/') {
        let without = format!("{scheme}://{}", &place[..slash]);
        return Err(complaint().hint(format!("an origin has no path: `{}`", shorten(&without))));
    }
    let (below, place) = match place.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, place),
    };
    let (host, port) = split_port(place).ok_or_else(complaint)?;
    if !is_host(host) || (below && host.starts_with('[')) {
        return Err(match place.contains('*') {
            true => complaint().hint("`*` stands alone, or as the first label: `*.example.com`"),
            false => complaint(),
        });
    }
    let own_port = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
    let port = port.filter(|_| !own_port).map(|port| format!(":{port}")).unwrap_or_default();
    Ok(match below {
        true => Origin::Below { scheme: scheme.to_owned(), suffix: format!(".{host}{port}") },
        false => Origin::Exact(format!("{scheme}://{host}{port}")),
    })
}

/// An expression that must match all of an origin: one that matched a part would let in the site
/// of anybody who can choose the rest.
fn regex(text: &str) -> Result<Origin, Complaint> {
    let part = match pattern::value(text)? {
        ValueMatch::Regex(part) => part,
        ValueMatch::Exact(_) | ValueMatch::Present => {
            let what = format!("expected {ORIGIN}, found `{}`", shorten(text));
            return Err(Complaint::new(what).hint("a blank follows the `~`"));
        }
    };
    let whole: Result<Regex, _> = RegexBuilder::new(&format!("^(?:{})$", part.as_str())).build();
    let whole = whole.map_err(|_| {
        Complaint::new("the regular expression does not stand between other expressions")
    })?;
    Ok(Origin::Regex { text: part.as_str().to_owned(), whole })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// The host and the port behind it, if there is one.
fn split_port(place: &str) -> Option<(&str, Option<&str>)> {
    let from = place.rfind(']').unwrap_or_default();
    match place[from..].find(':') {
        None => Some((place, None)),
        Some(colon) => {
            let (host, port) = (&place[..from + colon], &place[from + colon + 1..]);
            let number = port.parse::<u16>().ok().filter(|port| *port > 0)?;
            (number.to_string() == port).then_some((host, Some(port)))
        }
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.split('.').all(|label| !label.is_empty())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        origin(text).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.what)).to_string()
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        assert_eq!(shown("https://Example.COM:443"), "https://example.com");
        assert_eq!(shown("http://localhost:3000"), "http://localhost:3000");
        assert_eq!(shown("http://[::1]:8080"), "http://[::1]:8080");
        assert_eq!(shown("https://*.example.com:8443"), "https://*.example.com:8443");
        assert_eq!(shown("capacitor://localhost"), "capacitor://localhost");
        assert_eq!(shown("null"), "null");
        assert_eq!(shown("~ https://[a-z]+\\.example\\.com"), "~ https://[a-z]+\\.example\\.com");
    }

    #[test]
    fn what_no_browser_writes_is_refused() {
        for wrong in [
            "",
            "example.com",
            "https://",
            "https://example.com/",
            "https://a.*.com",
            "https://*",
            "https://*.",
            "https://u@example.com",
            "https://example.com:0",
            "https://example.com:080",
            "https://example.com:99999",
            "http://[::1",
            "1://a",
            "~https://a",
            "~ (",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
        let hint = origin("https://example.com/app").unwrap_err().hint.unwrap();
        assert_eq!(hint, "an origin has no path: `https://example.com`");
        assert_eq!(
            origin("example.com").unwrap_err().hint.unwrap(),
            "with its scheme: `https://example.com`"
        );
    }

    #[test]
    fn an_expression_matches_all_or_nothing() {
        let Ok(Origin::Regex { whole, .. }) = origin("~ https://a\\.com|https://b\\.com") else {
            panic!("an expression");
        };
        assert!(whole.is_match("https://a.com") && whole.is_match("https://b.com"));
        assert!(!whole.is_match("https://a.com.evil.net") && !whole.is_match("https://xb.com"));
    }
}
