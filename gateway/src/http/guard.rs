//! The check that every request's head passes before anything looks at it.
//!
//! hyper and h2 parse; this refuses what they let through and a backend might read differently:
//! several hosts, transfer codings other than one `chunked`, targets that are no path. It also
//! brings the head to one form: Host is there once and is the host the request is for, HTTP/1
//! targets are in origin form, Content-Length is there at most once, cookies are one field.
//!
//! What the libraries do before we can look (tests hold them to it):
//! - hyper refuses CTL bytes, folded lines, space before the colon, invalid or different
//!   Content-Lengths, Transfer-Encoding in HTTP/1.0 and codings that do not end in `chunked` (400).
//! - hyper drops Content-Length beside Transfer-Encoding and closes the connection after the
//!   response, which RFC 9112, 6.1 allows; equal Content-Lengths are collapsed (RFC 9110, 8.6).
//! - the `http` crate cuts a `#fragment` off every target, so that it neither routes nor travels.
//! - h2 resets streams with connection-specific fields or a wrong number of body bytes.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use smallvec::SmallVec;
use weir_config::model::Limits;

use crate::{
    error::{Error, Reason},
    http::host,
};

#[cfg(test)]
mod tests;

/// What the check found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// How long the body is.
    pub framing: Framing,
    /// Protocol the client wants to switch to on this connection: HTTP/1.1, GET without a body,
    /// `Connection: upgrade`, one protocol in Upgrade. Other upgrades are ignored (RFC 9110, 7.8
    /// lets a server do so), and so are those to another HTTP or to TLS: what would run in such a
    /// tunnel are requests that no check has seen.
    pub upgrade: Option<HeaderValue>,
    /// Whether not the connection but the request's own stream becomes a tunnel: CONNECT in HTTP/2
    /// and HTTP/3, extended (RFC 8441, 4; RFC 9220, 3) or not.
    pub bridged: bool,
    /// Whether the client waits for a 100 before it sends the body.
    pub expect_continue: bool,
    /// The host that the request is for, with its port; only HTTP/1.0 may have none.
    pub host: Option<HeaderValue>,
    /// Whether a field may say until when the client waits.
    pub hurries: bool,
}

impl Checked {
    /// The host as text; empty without one.
    pub fn authority(&self) -> &str {
        self.host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default()
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Until its own end: chunked in HTTP/1.1, the stream's in HTTP/2 and HTTP/3.
    Unknown,
}

/// Checks a head and brings it to one form. `ended` says that the stream ended with the head; it
/// means nothing in HTTP/1.
///
/// # Errors
/// The refusal, as one of the client's errors.
pub fn check(parts: &mut Parts, ended: bool, limits: &Limits) -> Result<Checked, Error> {
    let mut fields = scan(&parts.headers, parts.version)?;
    check_size(parts, fields.bytes, limits)?;
    let extended = parts.method == Method::CONNECT && take_protocol(parts, &fields)?;
    let connect = parts.method == Method::CONNECT;
    if parts.method == Method::TRACE {
        // Known and never allowed: 405, as nginx answers.
        return Err(Error::MethodNotAllowed);
    }
    if connect {
        check_connect(parts, &fields)?;
    } else {
        check_target(parts)?;
    }
    let host = fields.host.take();
    let host = check_host(parts, fields.hosts, host)?;
    // What follows CONNECT is the tunnel's.
    let framing = check_framing(parts, &fields, ended || extended || connect)?;
    if fields.expectation_failed && parts.version != Version::HTTP_10 {
        return Err(Error::ExpectationFailed);
    }
    if fields.underscored {
        drop_underscored(&mut parts.headers);
    }
    if fields.cookies > 1 && parts.version >= Version::HTTP_2 {
        join_cookies(&mut parts.headers)?;
    }
    let empty = matches!(framing, Framing::None | Framing::Length(0));
    let upgrades = fields.upgrade
        && fields.connection_upgrade
        && empty
        && parts.version == Version::HTTP_11
        && parts.method == Method::GET;
    let upgrade = match (extended, upgrades) {
        (true, _) => Some(WEBSOCKET.clone()),
        (false, true) => wanted_protocol(&parts.headers),
        (false, false) => None,
    };
    Ok(Checked {
        framing,
        upgrade,
        bridged: extended || (connect && parts.version >= Version::HTTP_2),
        expect_continue: fields.expects && !empty && parts.version != Version::HTTP_10,
        host,
        hurries: fields.hurries,
    })
}

/// The host that the request is for, with its port; only HTTP/1.0 may have none. Valid after
/// [`check`].
pub fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|value| value.to_str().ok())
}

/// What one pass over the fields shows.
#[derive(Default)]
struct Fields {
    /// Size of the fields as HTTP/1 would write them.
    bytes: usize,
    hosts: usize,
    host: Option<HeaderValue>,
    lengths: usize,
    length: Option<u64>,
    /// A Content-Length that is better written anew.
    length_padded: bool,
    chunked: bool,
    cookies: usize,
    underscored: bool,
    expects: bool,
    expectation_failed: bool,
    hurries: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

fn scan(headers: &HeaderMap, version: Version) -> Result<Fields, Error> {
    let mut fields = Fields::default();
    let h1 = version < Version::HTTP_2;
    for (name, value) in headers {
        let (name, bytes) = (name.as_str(), value.as_bytes());
        fields.bytes += name.len() + bytes.len() + 4;
        match name {
            "host" => {
                fields.hosts += 1;
                fields.host = Some(value.clone());
            }
            "content-length" => {
                let length = parse_length(bytes).ok_or(bad(Reason::ContentLength))?;
                if fields.length.is_some_and(|other| other != length) {
                    return Err(bad(Reason::ContentLengthRepeated));
                }
                fields.length = Some(length);
                fields.lengths += 1;
                fields.length_padded |= bytes.len() > 1 && bytes[0] == b'0';
            }
            "transfer-encoding" if h1 => {
                if fields.chunked || version != Version::HTTP_11 {
                    return Err(bad(Reason::TransferEncoding));
                }
                check_coding(bytes)?;
                fields.chunked = true;
            }
            "connection" if h1 => {
                fields.connection_upgrade |= has_token(bytes, b"upgrade");
            }
            "upgrade" if h1 => fields.upgrade = true,
            "transfer-encoding" | "connection" | "upgrade" | "keep-alive" | "proxy-connection"
            | "http2-settings"
                if !h1 =>
            {
                return Err(bad(Reason::ConnectionField));
            }
            "te" if !h1 && !bytes.eq_ignore_ascii_case(b"trailers") => {
                return Err(bad(Reason::ConnectionField));
            }
            "expect" => {
                fields.expects = true;
                fields.expectation_failed |= !bytes.eq_ignore_ascii_case(b"100-continue");
            }
            "cookie" => fields.cookies += 1,
            "x-request-deadline" | "grpc-timeout" => fields.hurries = true,
            // The `http` crate takes it for a token's byte (RFC 9110 section 5.6.2).
            _ if name.contains('"') => return Err(bad(Reason::FieldName)),
            _ => fields.underscored |= name.contains('_'),
        }
        // RFC 9113, 8.2.1, and RFC 9114, 4.2. The parser of HTTP/1 trims.
        if let ([b' ' | b'\t', ..] | [.., b' ' | b'\t'], false) = (bytes, h1) {
            return Err(bad(Reason::FieldValue));
        }
    }
    Ok(fields)
}

/// The one protocol in Upgrade, if a tunnel for it is allowed.
fn wanted_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::UPGRADE).iter();
    let (Some(protocol), None) = (values.next(), values.next()) else { return None };
    let name = protocol.as_bytes().split(|b| *b == b'/').next().unwrap_or_default();
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(b);
    let refused = [&b"h2c"[..], b"h2", b"h3", b"http", b"tls"];
    let allowed = !name.is_empty()
        && protocol.as_bytes().iter().all(token)
        && !refused.iter().any(|refused| name.eq_ignore_ascii_case(refused));
    if protocol.as_bytes().eq_ignore_ascii_case(b"websocket") {
        // Servers compare it as it is written in RFC 6455.
        return Some(WEBSOCKET.clone());
    }
    allowed.then(|| protocol.clone())
}

static WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Makes extended CONNECT for WebSocket the GET that asks for the same in HTTP/1.1 (RFC 6455, 4.1):
/// so it is routed, and so it goes on. False for a CONNECT without a protocol.
fn take_protocol(parts: &mut Parts, fields: &Fields) -> Result<bool, Error> {
    if parts.version < Version::HTTP_2 {
        return Ok(false);
    }
    let Some(protocol) = parts.extensions.remove::<h2::ext::Protocol>() else { return Ok(false) };
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return Err(Error::UnknownProtocol);
    }
    if fields.lengths > 0 {
        return Err(bad(Reason::ContentLength));
    }
    // RFC 8441, 4: scheme and path are there; and without an authority there is no full target.
    if parts.uri.scheme().is_none() || parts.uri.authority().is_none() {
        return Err(bad(Reason::Target));
    }
    parts.method = Method::GET;
    Ok(true)
}

fn check_size(parts: &Parts, field_bytes: usize, limits: &Limits) -> Result<(), Error> {
    let limit = limits.header_bytes as usize;
    let uri = &parts.uri;
    let target = uri.path_and_query().map_or(0, |path| path.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    if target > limit {
        return Err(Error::UriTooLong);
    }
    // `METHOD target HTTP/1.1` and the line's end.
    let line = parts.method.as_str().len() + target + 12;
    if line + field_bytes > limit || parts.headers.len() > limits.header_count as usize {
        return Err(Error::HeadersTooLarge);
    }
    Ok(())
}

/// Takes authority form with a port (RFC 9110, 9.3.6), and nothing that frames a body: what follows
/// the head of a CONNECT belongs to the tunnel.
fn check_connect(parts: &Parts, fields: &Fields) -> Result<(), Error> {
    let uri = &parts.uri;
    let port = uri.authority().and_then(Authority::port_u16);
    if uri.scheme().is_some() || uri.path_and_query().is_some() || port.is_none_or(|p| p == 0) {
        return Err(bad(Reason::Target));
    }
    match (fields.lengths, fields.chunked) {
        (0, false) => Ok(()),
        (_, true) => Err(bad(Reason::TransferEncoding)),
        (_, false) => Err(bad(Reason::ContentLength)),
    }
}

/// Takes origin form, absolute form (HTTP/1, which becomes origin form once Host is set) and `*`
/// with OPTIONS.
fn check_target(parts: &mut Parts) -> Result<(), Error> {
    let path = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let known = parts.uri.scheme().is_none_or(|s| *s == Scheme::HTTP || *s == Scheme::HTTPS);
    let authority_form = parts.uri.authority().is_some() && parts.uri.scheme().is_none();
    if !known || authority_form {
        return Err(bad(Reason::Target));
    }
    match path.as_bytes() {
        [b'/', ..] => Ok(()),
        [b'*'] if parts.method == Method::OPTIONS => Ok(()),
        // `GET http://host?query` has an empty path, which is `/` (RFC 9110, 4.2.3).
        [b'?', ..] | [] if parts.version < Version::HTTP_2 && parts.uri.authority().is_some() => {
            let full = PathAndQuery::try_from(format!("/{path}"));
            let mut uri = parts.uri.clone().into_parts();
            uri.path_and_query = Some(full.map_err(|_| bad(Reason::Target))?);
            parts.uri = Uri::from_parts(uri).map_err(|_| bad(Reason::Target))?;
            Ok(())
        }
        _ => Err(bad(Reason::Target)),
    }
}

/// Leaves exactly one Host, that of the target where it has one (RFC 9112, 3.2.2), or none in
/// HTTP/1.0. Takes what the last of so many said and returns what is left.
fn check_host(
    parts: &mut Parts,
    hosts: usize,
    field: Option<HeaderValue>,
) -> Result<Option<HeaderValue>, Error> {
    if hosts > 1 {
        return Err(bad(Reason::HostRepeated));
    }
    if field.as_ref().is_some_and(|value| !host::is_valid(value.as_bytes())) {
        return Err(bad(Reason::Host));
    }
    if field.is_none() && parts.version == Version::HTTP_11 {
        return Err(bad(Reason::HostMissing));
    }
    let Some(authority) = parts.uri.authority() else {
        let optional = parts.version < Version::HTTP_11;
        return if hosts == 1 || optional { Ok(field) } else { Err(bad(Reason::HostMissing)) };
    };
    if !host::is_valid(authority.as_str().as_bytes()) {
        return Err(bad(Reason::Host));
    }
    let host = match field {
        Some(value) if value.as_bytes() == authority.as_str().as_bytes() => value,
        _ => {
            let value = HeaderValue::from_str(authority.as_str());
            let value = value.map_err(|_| bad(Reason::Host))?;
            parts.headers.insert(header::HOST, value.clone());
            value
        }
    };
    if parts.version < Version::HTTP_2
        && let Some(path) = parts.uri.path_and_query()
    {
        parts.uri = Uri::from(path.clone());
    }
    Ok(Some(host))
}

fn check_framing(parts: &mut Parts, fields: &Fields, ended: bool) -> Result<Framing, Error> {
    if fields.chunked && fields.lengths > 0 {
        return Err(bad(Reason::Framing));
    }
    if let Some(length) = fields.length
        && (fields.lengths > 1 || fields.length_padded)
    {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(match (fields.length, parts.version >= Version::HTTP_2) {
        (Some(length), true) if ended && length > 0 => return Err(bad(Reason::Body)),
        (Some(length), _) => Framing::Length(length),
        (None, true) if !ended => Framing::Unknown,
        (None, false) if fields.chunked => Framing::Unknown,
        (None, _) => Framing::None,
    })
}

/// Takes `chunked` alone. Lists that other software could unfold are answered with 501 as RFC
/// 9112, 6.1 asks for; what no software should send, with 400.
fn check_coding(value: &[u8]) -> Result<(), Error> {
    if value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|b| *b == b',').map(<[u8]>::trim_ascii).rev();
    let chunked_last = codings.next().is_some_and(|c| c.eq_ignore_ascii_case(b"chunked"));
    let others_plain = codings.all(|coding| {
        let name = coding.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        HeaderName::from_bytes(name).is_ok() && !name.eq_ignore_ascii_case(b"chunked")
    });
    Err(if chunked_last && others_plain {
        Error::NotImplemented
    } else {
        bad(Reason::TransferEncoding)
    })
}

/// `1*DIGIT` that fits (RFC 9110, 8.6): no sign, no list, no space.
fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |length, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        length.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|b| *b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// Drops fields with `_` in the name, as nginx does: CGI-like backends take `x_forwarded_for` for
/// `x-forwarded-for`, so such a name would reach them past every rule about the true one. To
/// refuse the request instead, as some do, would cost clients that send such fields for no harm.
#[cold]
fn drop_underscored(headers: &mut HeaderMap) {
    let doomed: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// RFC 9113, 8.2.3, and RFC 9114, 4.2.1: crumbs become one field before HTTP/1 or an application
/// sees them.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Error> {
    let mut joined = Vec::new();
    for crumb in headers.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    let value = HeaderValue::try_from(joined).map_err(|_| bad(Reason::FieldValue))?;
    headers.insert(header::COOKIE, value);
    Ok(())
}

const fn bad(reason: Reason) -> Error {
    Error::BadRequest(reason)
}
