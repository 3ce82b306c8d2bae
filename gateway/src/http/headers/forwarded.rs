//! Who the client is: X-Forwarded-For, -Proto and -Host.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::name;
use crate::http::host;

/// What every request of a connection says about where it came from; made once a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    address: Option<IpAddr>,
    /// The address as text.
    forwarded_for: Option<HeaderValue>,
    /// `http` or `https`.
    proto: HeaderValue,
    trusted_hops: usize,
}

impl Peer {
    /// `address` is the other end's, by the socket or the PROXY header (`None` for a Unix socket),
    /// `trusted_hops` the listener's.
    pub fn new(address: Option<IpAddr>, tls: bool, trusted_hops: u32) -> Self {
        // A listener on [::] sees IPv4 clients in IPv6 clothes.
        let address = address.map(|address| address.to_canonical());
        Self {
            address,
            forwarded_for: address.and_then(|a| HeaderValue::try_from(a.to_string()).ok()),
            proto: HeaderValue::from_static(if tls { "https" } else { "http" }),
            trusted_hops: usize::try_from(trusted_hops).unwrap_or(usize::MAX),
        }
    }

    /// The other end of the connection: a client, or the nearest of the trusted hops.
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether the other end is a proxy of ours whose fields mean something.
    pub(crate) const fn trusts(&self) -> bool {
        self.trusted_hops > 0
    }
}

/// Sets the three fields and tells the client's address.
///
/// - No trusted hops: X-Forwarded-For is the peer, -Proto the connection's scheme, -Host the
///   request's Host; whatever came in their place is gone.
/// - `n` trusted hops: the `n` rightmost entries of X-Forwarded-For (over all its lines) stay, the
///   peer is appended, entries further left are dropped; the client is the leftmost that stays.
///   With fewer than `n` entries the request did not come through all the hops, so that none is
///   believed. -Proto (http, https) and -Host (a valid host) stay when there is one of each.
pub(super) fn stamp(
    headers: &mut HeaderMap,
    host: Option<&HeaderValue>,
    peer: &Peer,
) -> Option<IpAddr> {
    let vouched = if peer.trusts() { trusted_chain(headers, peer) } else { None };
    let (client, chain) = match vouched {
        Some((client, chain)) => (client.or(peer.address), Some(chain)),
        None => (peer.address, peer.forwarded_for.clone()),
    };
    match chain {
        Some(chain) => headers.insert(&name::X_FORWARDED_FOR, chain),
        None => headers.remove(&name::X_FORWARDED_FOR),
    };
    if !(peer.trusts() && names_scheme(headers)) {
        headers.insert(&name::X_FORWARDED_PROTO, peer.proto.clone());
    }
    if !(peer.trusts() && names_host(headers)) {
        match host {
            Some(host) => headers.insert(&name::X_FORWARDED_HOST, host.clone()),
            None => headers.remove(&name::X_FORWARDED_HOST),
        };
    }
    client
}

/// The client by the trusted hops, and the chain that goes on; `None` when it is too short.
fn trusted_chain(headers: &HeaderMap, peer: &Peer) -> Option<(Option<IpAddr>, HeaderValue)> {
    let mut kept: SmallVec<[&[u8]; 8]> = headers
        .get_all(&name::X_FORWARDED_FOR)
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        .take(peer.trusted_hops)
        .collect();
    if kept.len() < peer.trusted_hops {
        return None;
    }
    kept.reverse();
    let client = kept.first().and_then(|entry| parse_address(entry));
    let own = peer.forwarded_for.as_ref().map(HeaderValue::as_bytes);
    let mut chain =
        Vec::with_capacity(kept.iter().map(|entry| entry.len() + 2).sum::<usize>() + 40);
    for entry in kept.iter().copied().chain(own) {
        if !chain.is_empty() {
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(entry);
    }
    Some((client, HeaderValue::try_from(chain).ok()?))
}

/// `1.2.3.4`, `::1`, and both with a port, as some balancers write them.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

fn names_scheme(headers: &HeaderMap) -> bool {
    only(headers, &name::X_FORWARDED_PROTO)
        .is_some_and(|value| matches!(value.as_bytes(), b"http" | b"https"))
}

fn names_host(headers: &HeaderMap) -> bool {
    only(headers, &name::X_FORWARDED_HOST).is_some_and(|value| host::is_valid(value.as_bytes()))
}

/// The field's value, if there is exactly one.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
