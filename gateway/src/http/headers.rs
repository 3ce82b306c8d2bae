//! What happens to header fields on their way through.
//!
//! Towards the upstream: [`receive`] once a request, then the route's [`Edits`], then
//! [`prepare_upstream`] once an attempt. Towards the client: [`relay`] for a response of the
//! upstream, then the route's [`Edits`]. Trailers of either direction pass [`filter_trailers`].
//!
//! Everything is edited in place; what is the same for a connection comes ready in a [`Peer`].

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request};
use smallvec::SmallVec;

mod edits;
mod forwarded;
mod framing;
mod identity;
mod response;
mod trailers;
mod upgrade;

#[cfg(test)]
mod tests;

pub use edits::Edits;
pub use forwarded::Peer;
pub use framing::{Outbound, prepare_upstream};
pub use identity::Ids;
pub use response::{relay, relay_stored, settle_framing};
pub use trailers::filter_trailers;
pub use upgrade::Upgrade;

/// Names that the `http` crate has no constants for.
pub mod name {
    use http::HeaderName;

    /// Identity of a request, in both directions.
    pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    /// Addresses the request came through, the client's first.
    pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    /// Host the client asked for.
    pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    /// Scheme the client used.
    pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    /// W3C Trace Context: ids of the trace and of the caller's span.
    pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    /// W3C Trace Context: what vendors add.
    pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
    /// The request may be a replay: it came before the handshake was done (RFC 8470).
    pub static EARLY_DATA: HeaderName = HeaderName::from_static("early-data");
    /// How long the client of a call waits (gRPC over HTTP/2, "Requests").
    pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
    /// Until when the client waits, in milliseconds since the Unix epoch.
    pub static X_REQUEST_DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline");
    /// What an endpoint says of its own load.
    pub static X_WEIR_LOAD: HeaderName = HeaderName::from_static("x-weir-load");
    /// Which attempt at the request this is; not there on the first.
    pub static X_WEIR_MIRROR: HeaderName = HeaderName::from_static("x-weir-mirror");
    /// `x-weir-attempts`
    pub static X_WEIR_ATTEMPTS: HeaderName = HeaderName::from_static("x-weir-attempts");
    /// Attempts at a call of gRPC before this one.
    pub static GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
        HeaderName::from_static("grpc-previous-rpc-attempts");
    /// Why the gateway answered itself (RFC 9209).
    pub static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
}

/// What the fields of a request said before they were edited.
#[derive(Debug, Clone)]
pub struct Received {
    /// The client's address by the connection or, with trusted hops, by X-Forwarded-For; `None` on
    /// a Unix socket where no hop names one.
    pub client: Option<std::net::IpAddr>,
    /// Identity of the request, as it goes upstream and back to the client.
    pub request_id: HeaderValue,
    /// Whether the client reads trailers (`TE: trailers`).
    pub trailers: bool,
    /// Whether [`vouch`] has been called.
    pub vouched: bool,
}

/// Makes a checked request the gateway's own: what belongs to the client's connection goes, and
/// who asks is settled. What the gateway vouches for it by is set by [`vouch`]: here where there
/// are trusted hops, whose fields decide, else whenever somebody is to read it.
///
/// Dropped are hop-by-hop fields, those that Connection nominates, Expect (the gateway answers it),
/// Proxy-Authorization, `Proxy` (CGI backends take it for HTTP_PROXY), Forwarded (the gateway
/// speaks X-Forwarded-* instead), x-weir-attempts (its own attempts are what counts), and without
/// trusted hops every other X-Forwarded-* and X-Real-IP.
///
/// `host` is the request's Host, as the check left it.
pub fn receive(
    parts: &mut request::Parts,
    host: Option<&HeaderValue>,
    peer: &Peer,
    ids: &mut Ids,
) -> Received {
    let headers = &mut parts.headers;
    let mut doomed = Doomed::new();
    let (mut wishes, mut traced, mut nominates) = (false, false, false);
    let trusts = peer.trusts();
    for name in headers.keys() {
        // Those of the standard are told apart by a number, before any text is compared.
        let dropped = match *name {
            header::TE => {
                wishes = true;
                true
            }
            header::CONNECTION => {
                nominates = true;
                true
            }
            header::EXPECT | header::PROXY_AUTHORIZATION | header::FORWARDED => true,
            _ => match name.as_str() {
                "traceparent" | "tracestate" => {
                    traced = true;
                    false
                }
                "proxy" | "x-weir-attempts" => true,
                text if text.starts_with("x-forwarded-") || text == "x-real-ip" => !trusts,
                text => is_hop_by_hop(text),
            },
        };
        if dropped {
            doomed.push(name.clone());
        }
    }
    let trailers = wishes && reads_trailers(headers);
    if nominates {
        nominate(headers, &mut doomed);
    }
    remove_all(headers, &doomed);
    if traced {
        identity::check_trace(headers);
    }
    let request_id = identity::choose(headers, trusts, ids);
    let client = match trusts {
        true => vouch(headers, parts.version, (peer, host), &request_id),
        false => peer.address(),
    };
    Received { client, request_id, trailers, vouched: trusts }
}

/// Sets the fields by which the gateway vouches for a request that came by this version: Via,
/// X-Forwarded-*, x-request-id. Tells the client's address. To be called once.
pub fn vouch(
    headers: &mut HeaderMap,
    version: Version,
    (peer, host): (&Peer, Option<&HeaderValue>),
    request_id: &HeaderValue,
) -> Option<std::net::IpAddr> {
    headers.reserve(ADDED);
    let client = forwarded::stamp(headers, host, peer);
    headers.insert(&name::X_REQUEST_ID, request_id.clone());
    headers.append(header::VIA, via(version));
    client
}

/// Whether [`vouch`] sets it.
pub(crate) fn is_vouched_for(name: &HeaderName) -> bool {
    let text = name.as_str();
    text.starts_with("x-forwarded-") || matches!(text, "x-request-id" | "via")
}

fn reads_trailers(headers: &HeaderMap) -> bool {
    let mut lists = headers.get_all(header::TE).iter().map(HeaderValue::as_bytes);
    lists.any(|te| te.split(|b| *b == b',').any(|coding| is_word(coding, b"trailers")))
}

/// Drops what belongs to one connection, and what Connection nominates.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let mut doomed: Doomed =
        headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned().collect();
    nominate(headers, &mut doomed);
    remove_all(headers, &doomed);
}

/// Fields that [`receive`] adds at the most.
const ADDED: usize = 5;

type Doomed = SmallVec<[HeaderName; 8]>;

fn remove_all(headers: &mut HeaderMap, doomed: &Doomed) {
    for name in doomed {
        headers.remove(name);
    }
}

/// Fields that belong to one connection (RFC 9110, 7.6.1), whether Connection names them or not.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "upgrade"
            | "http2-settings"
            | "transfer-encoding"
    )
}

/// Adds what Connection nominates, but for what frames, routes or vouches: those a peer has no
/// business to take away (RFC 9110, 7.6.1: only fields of the connection may be nominated).
fn nominate(headers: &HeaderMap, doomed: &mut Doomed) {
    for value in headers.get_all(header::CONNECTION) {
        for option in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            // What nearly every message says, before a name is parsed.
            if option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"close") {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(option)
                && !is_protected(name.as_str())
            {
                doomed.push(name);
            }
        }
    }
}

fn is_protected(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-length"
            | "content-type"
            | "content-encoding"
            | "authorization"
            | "cache-control"
            | "set-cookie"
            | "via"
            | "x-real-ip"
            | "x-request-id"
            | "early-data"
    ) || name.starts_with("x-forwarded-")
}

/// The gateway's entry in Via for a message that came by `version` (RFC 9110, 7.6.3).
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 weir",
        Version::HTTP_2 => "2 weir",
        Version::HTTP_3 => "3 weir",
        _ => "1.1 weir",
    })
}

/// Whether an item of a list is this word, whatever its parameters.
fn is_word(item: &[u8], word: &[u8]) -> bool {
    let name = item.split(|b| *b == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(word)
}
