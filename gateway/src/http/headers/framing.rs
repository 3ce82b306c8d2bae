//! The last touch before a request leaves: one host, one framing, the version's own form.

use http::{
    HeaderMap, HeaderValue, Uri, Version, header,
    request::Parts,
    uri::{self, Authority, PathAndQuery, Scheme},
};

use super::{Upgrade, name};
use crate::{
    error::{Error, Reason},
    http::guard::Framing,
};

/// How a request goes out.
#[derive(Debug, Clone, Copy)]
pub struct Outbound<'a> {
    /// HTTP/1.1 or HTTP/2, as the connection speaks.
    pub version: Version,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// Host that the route sets instead of the client's.
    pub host: Option<&'a HeaderValue>,
    /// Host for a client that sent none (HTTP/1.0): the endpoint's own.
    pub fallback_host: &'a HeaderValue,
    /// Whether the request was in another attempt's form before: what that added must go.
    pub again: bool,
    /// Which attempt at the request it is, the first being 1.
    pub attempt: u32,
    /// The body that will be sent.
    pub framing: Framing,
    /// What to ask for: by Upgrade in HTTP/1.1, by extended CONNECT in HTTP/2.
    pub upgrade: Option<&'a Upgrade>,
    /// Whether the client reads trailers; goes out as `TE: trailers` in HTTP/2, where gRPC needs
    /// it. In HTTP/1.1 TE would have to be nominated by Connection, which few backends expect.
    pub trailers: bool,
}

/// Gives a request its final form; may be called again for another attempt, by another version.
///
/// The framing is unambiguous afterwards: `Length` is one Content-Length, `Unknown` is
/// `Transfer-Encoding: chunked` in HTTP/1.1 and nothing in HTTP/2, `None` is neither. A body of a
/// known length must be sent with exactly that length. From the second attempt on the upstream is
/// told which one it is.
///
/// # Errors
/// [`Error::BadRequest`] where the host or the target has no form in this version.
pub fn prepare_upstream(parts: &mut Parts, outbound: &Outbound<'_>) -> Result<(), Error> {
    frame(parts, outbound);
    parts.version = outbound.version;
    if outbound.attempt > 1 {
        count(&mut parts.headers, outbound.attempt);
    }
    if outbound.version >= Version::HTTP_2 {
        return address_h2(parts, outbound);
    }
    address_h1(parts, outbound)
}

fn frame(parts: &mut Parts, outbound: &Outbound<'_>) {
    let (headers, h1) = (&mut parts.headers, outbound.version < Version::HTTP_2);
    if outbound.again {
        headers.remove(header::TRANSFER_ENCODING);
    }
    match outbound.framing {
        Framing::Length(length) => {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(length);
            let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
            let right = values.next().is_some_and(|value| value == digits);
            if !right || values.next().is_some() {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        Framing::Unknown => {
            headers.remove(header::CONTENT_LENGTH);
        }
        Framing::None if outbound.again => {
            headers.remove(header::CONTENT_LENGTH);
        }
        // The guard calls a request so only when there is none.
        Framing::None => debug_assert!(!headers.contains_key(header::CONTENT_LENGTH)),
    }
    if h1 && outbound.framing == Framing::Unknown {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if outbound.again {
        headers.remove(header::CONNECTION);
        headers.remove(header::UPGRADE);
        headers.remove(header::TE);
    }
    if !h1 && outbound.trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    match outbound.upgrade {
        Some(upgrade) if h1 => upgrade.ask(parts),
        Some(upgrade) => upgrade.connect(parts),
        None => {}
    }
}

/// Says that this is not the first attempt; gRPC has a field of its own for that, which its
/// services know (gRPC proposal A6).
fn count(headers: &mut HeaderMap, attempt: u32) {
    let grpc = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        headers.insert(&name::GRPC_PREVIOUS_RPC_ATTEMPTS, HeaderValue::from(attempt - 1));
    }
    headers.insert(&name::X_WEIR_ATTEMPTS, HeaderValue::from(attempt));
}

/// Origin form and Host.
fn address_h1(parts: &mut Parts, outbound: &Outbound<'_>) -> Result<(), Error> {
    if let Some(host) = outbound.host {
        parts.headers.insert(header::HOST, host.clone());
    } else if !parts.headers.contains_key(header::HOST) {
        let host = match parts.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).map_err(|_| BAD_HOST)?,
            None => outbound.fallback_host.clone(),
        };
        parts.headers.insert(header::HOST, host);
    }
    if parts.uri.authority().is_some() {
        parts.uri = Uri::from(path(&parts.uri));
    }
    Ok(())
}

/// Absolute form, from which h2 takes `:scheme`, `:authority` and `:path`; no Host (RFC 9113,
/// 8.3.1).
fn address_h2(parts: &mut Parts, outbound: &Outbound<'_>) -> Result<(), Error> {
    let held = parts.headers.remove(header::HOST);
    let known = parts.uri.authority();
    let host = outbound.host.or(held.as_ref());
    let authority = match (host, known) {
        (Some(host), Some(known)) if host.as_bytes() == known.as_str().as_bytes() => known.clone(),
        (None, Some(known)) => known.clone(),
        (host, _) => Authority::try_from(host.unwrap_or(outbound.fallback_host).as_bytes())
            .map_err(|_| BAD_HOST)?,
    };
    let mut target = uri::Parts::default();
    target.scheme = Some(if outbound.tls { Scheme::HTTPS } else { Scheme::HTTP });
    target.authority = Some(authority);
    target.path_and_query = Some(path(&parts.uri));
    parts.uri = Uri::from_parts(target).map_err(|_| Error::BadRequest(Reason::Target))?;
    Ok(())
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"))
}

const BAD_HOST: Error = Error::BadRequest(Reason::Host);
