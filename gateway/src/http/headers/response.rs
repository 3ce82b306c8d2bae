//! A response on its way to the client.

use http::{HeaderValue, Method, StatusCode, Version, header, response::Parts};

use super::{Doomed, Upgrade, is_hop_by_hop, name, nominate, remove_all, via};
use crate::error::Error;

/// Makes an upstream's response head the gateway's own.
///
/// Refuses what would frame differently for the client than it did for the gateway, and a 101 that
/// was not asked for, or is to another protocol than `upgrade`. A switch takes the form of the
/// client's version: 101, or 200 for extended CONNECT. Drops hop-by-hop fields, those that
/// Connection nominates, Proxy-Authenticate, and Alt-Svc, which speaks of the upstream's own ports.
/// Keeps Proxy-Status of proxies behind the gateway (RFC 9209, 2: those nearer to the client only
/// append). Adds Via and the request's id. Trailer stays, for it tells what comes.
///
/// # Errors
/// [`Error::UpstreamGarbage`], [`Error::UpgradeFailed`].
pub fn relay(
    parts: &mut Parts,
    method: &Method,
    upgrade: Option<&Upgrade>,
    request_id: &HeaderValue,
) -> Result<(), Error> {
    let (mut coded, mut connection) = (false, false);
    let mut lengths = Lengths::None;
    let mut doomed = Doomed::new();
    for (name, value) in &parts.headers {
        // Those of the standard are told apart by a number, before any text is compared.
        let dropped = match *name {
            header::CONTENT_LENGTH => {
                lengths = lengths.and(value);
                false
            }
            header::TRANSFER_ENCODING => {
                coded = true;
                true
            }
            header::CONNECTION => {
                connection = true;
                true
            }
            header::PROXY_AUTHENTICATE | header::ALT_SVC => true,
            _ => {
                let text = name.as_str();
                is_hop_by_hop(text) || text == "proxy-authentication-info"
            }
        };
        if dropped {
            doomed.push(name.clone());
        }
    }
    let switch = match upgrade {
        Some(upgrade) => upgrade.is_granted(parts)?.then_some(upgrade),
        None if parts.status == StatusCode::SWITCHING_PROTOCOLS => {
            return Err(Error::UpgradeFailed);
        }
        None => None,
    };
    check_framing(parts, method, coded, switch.is_some(), lengths)?;
    let headers = &mut parts.headers;
    if connection {
        nominate(headers, &mut doomed);
    }
    remove_all(headers, &doomed);
    headers.append(header::VIA, via(parts.version));
    headers.insert(&name::X_REQUEST_ID, request_id.clone());
    if let Some(upgrade) = switch {
        upgrade.grant(parts);
    }
    // The version is each hop's own: a client of 1.1 gets chunks whatever the endpoint speaks.
    parts.version = Version::HTTP_11;
    Ok(())
}

/// Does for a response out of the store what is left to do: what [`relay`] drops and settles it has
/// been through when it was stored, and its length is that of what is stored.
pub fn relay_stored(parts: &mut Parts, request_id: &HeaderValue) {
    parts.headers.append(header::VIA, via(parts.version));
    parts.headers.insert(&name::X_REQUEST_ID, request_id.clone());
}

/// Makes a response that is to be stored say one thing of its length, as [`relay`] does for one
/// that is passed on.
///
/// # Errors
/// [`Error::UpstreamGarbage`].
pub fn settle_framing(parts: &mut Parts, method: &Method) -> Result<(), Error> {
    let coded = parts.headers.contains_key(header::TRANSFER_ENCODING);
    let lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let lengths = lengths.fold(Lengths::None, Lengths::and);
    check_framing(parts, method, coded, false, lengths)
}

/// What Content-Length says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    None,
    One,
    /// Several, or what is no length.
    Odd,
}

impl Lengths {
    fn and(self, value: &HeaderValue) -> Self {
        if self == Self::None && is_length(value) { Self::One } else { Self::Odd }
    }
}

fn is_length(value: &HeaderValue) -> bool {
    (1..=19).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_digit)
}

/// Both upstream protocols leave Content-Lengths as they came, the same one twice for instance, and
/// a response without a body may bear any: what is passed on says one thing.
fn check_framing(
    parts: &mut Parts,
    method: &Method,
    coded: bool,
    switched: bool,
    lengths: Lengths,
) -> Result<(), Error> {
    let headers = &mut parts.headers;
    if coded {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let (Some(coding), None) = (codings.next(), codings.next()) else {
            return Err(Error::UpstreamGarbage);
        };
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Error::UpstreamGarbage);
        }
    }
    let bodiless = parts.status.is_informational() || parts.status == StatusCode::NO_CONTENT;
    if coded || bodiless || switched {
        // RFC 9112, 6.3: chunked wins and the length must not go on; RFC 9110, 8.6: none in 204,
        // nor in a 2xx to CONNECT.
        if lengths != Lengths::None {
            headers.remove(header::CONTENT_LENGTH);
        }
        return Ok(());
    }
    if lengths != Lengths::Odd {
        return Ok(());
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    let (mut repeated, mut valid) = (false, is_length(first));
    for other in lengths {
        repeated = true;
        valid &= other == first;
    }
    if !valid {
        // An answer to HEAD or a 304 has no body that a length could misplace.
        if *method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED {
            headers.remove(header::CONTENT_LENGTH);
            return Ok(());
        }
        return Err(Error::UpstreamGarbage);
    }
    if repeated {
        let first = first.clone();
        headers.insert(header::CONTENT_LENGTH, first);
    }
    Ok(())
}
