//! Who may ask what: token, Host and Origin. Pure.
//!
//! The admin API speaks plain HTTP on an address of its own. With a token whoever has it may do
//! everything. Without one the address is the protection, and what must be kept out is a web page
//! in a browser on this machine: it can send requests to loopback addresses, either under a name
//! that its owner resolves to 127.0.0.1 (DNS rebinding: Host gives it away) or blindly across
//! origins (Origin gives it away).

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST, ORIGIN},
};
use subtle::ConstantTimeEq as _;

use crate::http::host;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A Unix socket: whoever the file's permissions let in.
    Unix,
    /// This machine.
    Loopback,
    /// Anywhere.
    Remote,
}

impl Peer {
    /// By the address of the other end; `None` over a Unix socket.
    pub(super) fn of(address: Option<SocketAddr>) -> Self {
        match address {
            None => Self::Unix,
            Some(address) if address.ip().is_loopback() => Self::Loopback,
            Some(_) => Self::Remote,
        }
    }
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The token is missing or another one.
    #[error(
        "the admin token is needed: send `Authorization: Bearer TOKEN` with the value of \
             `admin.token`"
    )]
    Token,
    /// A name where only an address is safe.
    #[error(
        "without `admin.token` the Host must be an IP address or localhost: write \
             http://127.0.0.1 in the URL, or set a token"
    )]
    Host,
    /// A change from another machine.
    #[error(
        "without `admin.token` only this machine may change anything: set a token, or ask \
             from here"
    )]
    Remote,
    /// A change that a page of another origin asks for.
    #[error(
        "a web page of another origin may not change anything: use the dashboard, or a client \
             that sends no Origin"
    )]
    Origin,
}

impl Refusal {
    /// Its status.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Host | Self::Remote | Self::Origin => StatusCode::FORBIDDEN,
        }
    }
}

/// Whether a request may have what it asks for. `changes` says whether that is more than a look.
///
/// # Errors
/// Why not.
pub(super) fn check(
    token: Option<&str>,
    peer: Peer,
    changes: bool,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    match token {
        Some(token) if !bears(headers, token) => return Err(Refusal::Token),
        Some(_) => {}
        None if changes && peer == Peer::Remote => return Err(Refusal::Remote),
        None if peer == Peer::Loopback && !names_an_address(headers) => return Err(Refusal::Host),
        None => {}
    }
    if changes && !is_same_origin(headers) {
        return Err(Refusal::Origin);
    }
    Ok(())
}

/// Compares in a time that depends on the lengths alone.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let Some(value) = headers.get(AUTHORIZATION).map(|value| value.as_bytes()) else {
        return false;
    };
    let Some((scheme, given)) = value.split_at_checked(b"Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && given.trim_ascii().ct_eq(token.as_bytes()).into()
}

/// Whether every Host is an address or localhost. None at all is an HTTP/1.0 tool, no browser.
fn names_an_address(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().all(|host| host.to_str().is_ok_and(is_address))
}

fn is_address(text: &str) -> bool {
    let name = host::without_port(text);
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Whether no page asks, or one that came from here.
fn is_same_origin(headers: &HeaderMap) -> bool {
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return false;
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    matches!((authority, host), (Some((_, a)), Some(b)) if a.eq_ignore_ascii_case(b))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_token_opens_everything_and_nothing_else_does() {
        for (given, good) in [
            (&[][..], false),
            (&[("authorization", "Bearer s3cret")], true),
            (&[("authorization", "bearer s3cret")], true),
            (&[("authorization", "Bearer s3cre")], false),
            (&[("authorization", "Bearer s3cret2")], false),
            (&[("authorization", "Bearer ")], false),
            (&[("authorization", "Bear")], false),
            (&[("authorization", "Basic s3cret")], false),
            (&[("authorization", "s3cret")], false),
        ] {
            for peer in [Peer::Unix, Peer::Loopback, Peer::Remote] {
                let fields = headers(given);
                let expected = if good { Ok(()) } else { Err(Refusal::Token) };
                assert_eq!(check(Some("s3cret"), peer, true, &fields), expected, "{given:?}");
                assert_eq!(check(Some("s3cret"), peer, false, &fields), expected, "{given:?}");
            }
        }
    }

    #[test]
    fn without_a_token_other_machines_may_only_look() {
        let fields = headers(&[("host", "gateway-1:9901")]);
        assert_eq!(check(None, Peer::Remote, false, &fields), Ok(()));
        assert_eq!(check(None, Peer::Remote, true, &fields), Err(Refusal::Remote));
        assert_eq!(check(None, Peer::Unix, true, &fields), Ok(()));
    }

    #[test]
    fn a_rebound_name_is_refused() {
        for (host, good) in [
            ("127.0.0.1:9901", true),
            ("127.0.0.1", true),
            ("[::1]:9901", true),
            ("[::1]", true),
            ("LocalHost:9901", true),
            ("evil.example:9901", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let expected = if good { Ok(()) } else { Err(Refusal::Host) };
            let fields = headers(&[("host", host)]);
            assert_eq!(check(None, Peer::Loopback, false, &fields), expected, "{host}");
        }
        let two = HeaderMap::from_iter([
            (HOST, HeaderValue::from_static("127.0.0.1")),
            (ORIGIN, HeaderValue::from_static("http://127.0.0.1")),
        ]);
        let mut two = two;
        two.append(HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(check(None, Peer::Loopback, false, &two), Err(Refusal::Host));
        assert_eq!(check(None, Peer::Loopback, false, &HeaderMap::new()), Ok(()));
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        for (origin, good) in [
            ("http://127.0.0.1:9901", true),
            ("http://127.0.0.1:9902", false),
            ("https://evil.example", false),
            ("null", false),
        ] {
            let fields = headers(&[("host", "127.0.0.1:9901"), ("origin", origin)]);
            let expected = if good { Ok(()) } else { Err(Refusal::Origin) };
            assert_eq!(check(None, Peer::Loopback, true, &fields), expected, "{origin}");
            assert_eq!(check(None, Peer::Loopback, false, &fields), Ok(()), "{origin}");
        }
    }

    #[test]
    fn knows_this_machine() {
        let of = |text: &str| Peer::of(Some(text.parse().unwrap()));
        assert_eq!(Peer::of(None), Peer::Unix);
        assert_eq!(of("127.8.8.8:1"), Peer::Loopback);
        assert_eq!(of("[::1]:1"), Peer::Loopback);
        assert_eq!(of("10.0.0.1:1"), Peer::Remote);
    }
}
