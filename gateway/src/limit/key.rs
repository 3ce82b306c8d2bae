//! Whom a request is for: parts of it, hashed where they lie.

use std::{
    borrow::Cow,
    fmt::{Debug, Write as _},
    net::IpAddr,
    rc::Rc,
};

use http::{HeaderMap, HeaderName, header::COOKIE};
use weir_config::model::{AbsentKey, KeyPart};
use weir_ratelimit::{Key, KeyHasher};

use crate::{http::headers::is_vouched_for, policy::Identity, route::decoded};

/// A request, as far as limits and keys of endpoints look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The client's address, by trusted hops; `None` on a Unix socket.
    pub(crate) client: Option<IpAddr>,
    /// Its fields, before the route edits them.
    pub(crate) headers: &'a HeaderMap,
    /// Its path, as routes see it.
    pub(crate) path: &'a str,
    /// Its query.
    pub(crate) query: Option<&'a str>,
    /// Name of its route.
    pub(crate) route: &'a str,
    /// Who the client is, where its route asks for that.
    pub(crate) identity: Option<&'a Identity>,
    /// What computes parts in Lua, where there may be some.
    pub(crate) lua: Option<&'a dyn Compute>,
}

/// What makes values of a request, as expressions in Lua say.
pub(crate) trait Compute: Debug {
    /// What `expression` makes of `subject`; `None` where that is nil, or it fails.
    fn compute(&self, expression: &str, subject: &Subject<'_>) -> Option<Rc<[u8]>>;
}

/// Whom a limit counts a request for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// For this key.
    For(Key),
    /// For nobody: the limit does not concern it.
    Not,
    /// It lacks a part that it must have.
    Lacking,
}

/// The key of `subject`: what `hasher` began, with these parts.
pub(crate) fn key(
    hasher: KeyHasher,
    parts: &[KeyPart],
    absent: AbsentKey,
    subject: &Subject<'_>,
) -> Counted {
    let mut hasher = hasher;
    for part in parts {
        hasher = match (add(hasher, part, subject), absent) {
            (Some(with), _) => with,
            (None, AbsentKey::Share) => hasher.absent(),
            (None, AbsentKey::Skip) => return Counted::Not,
            (None, AbsentKey::Deny) => return Counted::Lacking,
        };
    }
    Counted::For(hasher.finish())
}

/// Adds a part, if the request has it. An empty value is one.
fn add(hasher: KeyHasher, part: &KeyPart, subject: &Subject<'_>) -> Option<KeyHasher> {
    value(part, subject, |value| hasher.part(value))
}

/// What `with` makes of a part, if the request has it.
pub(crate) fn value<T>(
    part: &KeyPart,
    subject: &Subject<'_>,
    with: impl FnOnce(&[u8]) -> T,
) -> Option<T> {
    match part {
        KeyPart::ClientIp => subject.client.map(|client| match client.to_canonical() {
            IpAddr::V4(address) => with(&address.octets()),
            // What a provider gives to one subscriber: who has it has 2^64 addresses.
            IpAddr::V6(address) => with(&address.octets()[..8]),
        }),
        KeyPart::Header(name) => header(name, subject.headers).map(|value| with(&value)),
        KeyPart::Cookie(name) => cookie(name.as_bytes(), subject.headers).map(with),
        KeyPart::Query(name) => parameter(name, subject.query).map(|value| with(&value)),
        KeyPart::Path => Some(with(subject.path.as_bytes())),
        KeyPart::Route => Some(with(subject.route.as_bytes())),
        KeyPart::Identity => {
            let name = subject.identity.and_then(|identity| identity.name.as_deref());
            name.map(|name| with(name.as_bytes()))
        }
        KeyPart::Claim(name) => {
            let claim = subject.identity.and_then(|identity| identity.claim(name));
            claim.map(|claim| with(claim.as_bytes()))
        }
        KeyPart::Lua(value) => {
            let made = subject.lua.and_then(|lua| lua.compute(&value.text, subject));
            made.map(|made| with(&made))
        }
    }
}

/// A part that says who sends a request; `None` where that is missing or says nothing.
pub(crate) fn identity(part: &KeyPart, subject: &Subject<'_>) -> Option<Vec<u8>> {
    match part {
        KeyPart::Query(_) | KeyPart::Path | KeyPart::Route | KeyPart::Lua(_) => None,
        KeyPart::ClientIp
        | KeyPart::Header(_)
        | KeyPart::Cookie(_)
        | KeyPart::Identity
        | KeyPart::Claim(_) => {
            value(part, subject, <[u8]>::to_vec).filter(|value| !value.trim_ascii().is_empty())
        }
    }
}

fn header<'a>(name: &HeaderName, headers: &'a HeaderMap) -> Option<Cow<'a, [u8]>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.as_bytes();
    let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
    // Several lines are one list (RFC 9110 section 5.3). Rare, so that a copy does no harm.
    let rest = [second].into_iter().chain(values);
    let whole = rest.fold(first.to_vec(), |mut whole, value| {
        whole.extend_from_slice(b", ");
        whole.extend_from_slice(value.as_bytes());
        whole
    });
    Some(Cow::Owned(whole))
}

/// The value of the first cookie of this name (RFC 6265 section 4.2.1).
pub(crate) fn cookie<'a>(name: &[u8], headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let end = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..end].trim_ascii_end() == name).then(|| pair[end + 1..].trim_ascii())
    })
}

/// The value of the first parameter of this name. It is copied only if it is escaped.
fn parameter<'a>(name: &str, query: Option<&'a str>) -> Option<Cow<'a, [u8]>> {
    query?.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*decoded(key) == *name.as_bytes()).then(|| decoded(value))
    })
}

/// What the key of `subject` is called before an operator: addresses, paths and routes as they are,
/// and of everything else, which may be a secret, a hash.
pub(crate) fn label(hasher: KeyHasher, parts: &[KeyPart], subject: &Subject<'_>) -> String {
    let mut label = String::new();
    for (i, part) in parts.iter().enumerate() {
        let before = if i == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = match (part, subject.client.map(|client| client.to_canonical())) {
            (KeyPart::ClientIp, Some(IpAddr::V6(address))) => {
                let network = address.to_bits() >> 64 << 64;
                write!(label, "{before}{}/64", std::net::Ipv6Addr::from_bits(network))
            }
            (KeyPart::ClientIp, Some(address)) => write!(label, "{before}{address}"),
            (KeyPart::ClientIp, None) => write!(label, "{before}no address"),
            (KeyPart::Path, _) => write!(label, "{before}{}", subject.path),
            (KeyPart::Route, _) => write!(label, "{before}{}", subject.route),
            (KeyPart::Identity, _) => {
                let name = subject.identity.and_then(|identity| identity.name.as_deref());
                write!(label, "{before}{}", name.unwrap_or("no identity"))
            }
            (
                KeyPart::Header(_)
                | KeyPart::Cookie(_)
                | KeyPart::Query(_)
                | KeyPart::Claim(_)
                | KeyPart::Lua(_),
                _,
            ) => {
                let word = word(part);
                match add(hasher, part, subject) {
                    Some(hasher) => {
                        let hash = hasher.finish().number() as u64;
                        write!(label, "{before}{word}#{hash:016x}")
                    }
                    None => write!(label, "{before}no {word}"),
                }
            }
        };
    }
    label
}

/// Whether a part may be of a field that the gateway vouches for.
pub(crate) fn may_be_vouched_for(part: &KeyPart) -> bool {
    match part {
        KeyPart::Header(name) => is_vouched_for(name),
        KeyPart::Lua(_) => true,
        _ => false,
    }
}

/// A part as the file has it.
pub(crate) fn word(part: &KeyPart) -> String {
    part.to_string()
}

/// Parts as one text: what is counted by other parts is counted apart.
pub(super) fn words(parts: &[KeyPart]) -> String {
    // Words hold no line end, but those of Lua, which stand as they are escaped.
    let one = |part: &KeyPart| word(part).replace('\n', "\\n");
    parts.iter().map(one).collect::<Vec<_>>().join("\n")
}
