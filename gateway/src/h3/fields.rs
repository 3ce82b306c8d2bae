//! Field sections to `http` types and back (RFC 9114 sections 4.1.2 to 4.4).
//!
//! What comes out of [`request`], [`response`] and [`trailers`] is well formed: the pseudo-header
//! fields are those that must be there, and what makes a message malformed is not among the fields.
//! Values that their sender marked as never to be indexed are `sensitive`, and go out marked again.

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header,
    uri::{self, Authority, PathAndQuery, Scheme},
};

use super::code::Code;

mod encode;
mod section;
#[cfg(test)]
mod tests;

pub use super::frame::{encode_data_header, encode_goaway};
pub use encode::{encode_request, encode_response, encode_trailers};
use section::{Field, Pseudo, Section};

/// How much a field section may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes: of each field its name, its value and 32 more (RFC 9114 section 4.2.2).
    pub bytes: usize,
    /// Fields, pseudo-header fields among them.
    pub count: usize,
}

/// Why a field section is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The message is malformed: a stream error, H3_MESSAGE_ERROR (section 4.1.2).
    Message,
    /// It exceeds its [`Bounds`]; a request gets 431.
    TooLarge,
    /// It cannot be read: a connection error.
    Connection(Code),
}

impl From<Code> for Malformed {
    fn from(code: Code) -> Self {
        Self::Connection(code)
    }
}

/// Reads a request's head (section 4.3.1). The URI is in absolute form; in authority form for
/// CONNECT (section 4.4); in origin form when only Host names the authority. `:protocol` (RFC 9220)
/// goes into the extensions as [`h2::ext::Protocol`].
///
/// # Errors
/// [`Malformed`]; a block that cannot be read comes before a message that is malformed.
pub fn request(block: &[u8], bounds: Bounds) -> Result<Request<()>, Malformed> {
    let mut section = Section::new(block, bounds)?;
    let read = read_request(&mut section);
    section.finish(read)
}

/// Reads a response's head (section 4.3.2), an interim one as well.
///
/// # Errors
/// [`Malformed`]; a block that cannot be read comes before a message that is malformed.
pub fn response(block: &[u8], bounds: Bounds) -> Result<Response<()>, Malformed> {
    let mut section = Section::new(block, bounds)?;
    let read = read_response(&mut section);
    section.finish(read)
}

/// Reads trailers, which have no pseudo-header fields (section 4.3).
///
/// # Errors
/// [`Malformed`]; a block that cannot be read comes before a message that is malformed.
pub fn trailers(block: &[u8], bounds: Bounds) -> Result<HeaderMap, Malformed> {
    let mut section = Section::new(block, bounds)?;
    let read = read(&mut section, Kind::Trailers).and_then(|head| match head.pseudo {
        [None, None, None, None, None, None] => Ok(head.headers),
        _ => Err(Malformed::Message),
    });
    section.finish(read)
}

/// What a field section belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
    Trailers,
}

/// A field section, sorted.
struct Head {
    pseudo: [Option<Bytes>; Pseudo::COUNT],
    headers: HeaderMap,
    hosts: usize,
}

/// Room for the fields that the gateway adds.
const ADDED: usize = 4;

fn read(section: &mut Section<'_>, kind: Kind) -> Result<Head, Malformed> {
    let headers = HeaderMap::with_capacity(section.expected() + ADDED);
    let mut head = Head { pseudo: [const { None }; Pseudo::COUNT], headers, hosts: 0 };
    while let Some(field) = section.next()? {
        match field {
            Field::Pseudo(name, value) => {
                let again = head.pseudo[name as usize].replace(value).is_some();
                if again || !head.headers.is_empty() {
                    return Err(Malformed::Message);
                }
            }
            Field::Te(value) if kind != Kind::Request || !is_trailers(&value) => {
                return Err(Malformed::Message);
            }
            Field::Te(value) => append(&mut head.headers, header::TE, value)?,
            Field::Regular(name, value) => {
                head.hosts += usize::from(name == header::HOST);
                append(&mut head.headers, name, value)?;
            }
        }
    }
    Ok(head)
}

fn append(
    headers: &mut HeaderMap,
    name: header::HeaderName,
    value: header::HeaderValue,
) -> Result<(), Malformed> {
    // The map has a limit of its own, far above any sensible bound.
    headers.try_append(name, value).map(|_| ()).map_err(|_| Malformed::TooLarge)
}

/// The only value that TE may have (section 4.2).
fn is_trailers(value: &header::HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"trailers")
}

fn read_request(section: &mut Section<'_>) -> Result<Request<()>, Malformed> {
    let Head { pseudo, headers, hosts } = read(section, Kind::Request)?;
    let [Some(method), scheme, authority, path, protocol, None] = pseudo else {
        return Err(Malformed::Message);
    };
    let method = Method::from_bytes(&method).map_err(|_| Malformed::Message)?;
    let connect = method == Method::CONNECT;
    let authority = authority.map(parse_authority).transpose()?;
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_3;
    let mut parts = uri::Parts::default();
    match (scheme, path) {
        (None, None) if connect && protocol.is_none() => {
            let authority = authority.ok_or(Malformed::Message)?;
            if authority.port_u16().is_none() {
                return Err(Malformed::Message);
            }
            parts.authority = Some(authority);
        }
        (Some(scheme), Some(path)) if connect == protocol.is_some() => {
            let scheme = parse_scheme(&scheme)?;
            if connect && authority.is_none() {
                return Err(Malformed::Message);
            }
            check_host(&scheme, authority.as_ref(), &headers, hosts)?;
            parts.path_and_query = Some(parse_path(path, &method)?);
            // A URI has no scheme without an authority.
            parts.scheme = authority.is_some().then_some(scheme);
            parts.authority = authority;
        }
        _ => return Err(Malformed::Message),
    }
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Malformed::Message)?;
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(parse_protocol(&protocol)?);
    }
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    Ok(request)
}

fn read_response(section: &mut Section<'_>) -> Result<Response<()>, Malformed> {
    let Head { pseudo, headers, .. } = read(section, Kind::Response)?;
    let [None, None, None, None, None, Some(status)] = pseudo else {
        return Err(Malformed::Message);
    };
    let status = StatusCode::from_bytes(&status).map_err(|_| Malformed::Message)?;
    // There is no Upgrade in HTTP/3 (section 4.5).
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Malformed::Message);
    }
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_3;
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Neither empty nor with user information, which no scheme that we serve allows.
fn parse_authority(value: Bytes) -> Result<Authority, Malformed> {
    if value.contains(&b'@') {
        return Err(Malformed::Message);
    }
    Authority::from_maybe_shared(value).map_err(|_| Malformed::Message)
}

fn parse_scheme(value: &[u8]) -> Result<Scheme, Malformed> {
    if value.eq_ignore_ascii_case(b"https") {
        return Ok(Scheme::HTTPS);
    }
    if value.eq_ignore_ascii_case(b"http") {
        return Ok(Scheme::HTTP);
    }
    if value.is_empty() {
        return Err(Malformed::Message);
    }
    Scheme::try_from(value).map_err(|_| Malformed::Message)
}

/// A path and query, or `*` with OPTIONS. `http` would cut a fragment off in silence.
fn parse_path(value: Bytes, method: &Method) -> Result<PathAndQuery, Malformed> {
    match value[..] {
        [b'/', ..] if !value.contains(&b'#') => {}
        [b'*'] if *method == Method::OPTIONS => {}
        _ => return Err(Malformed::Message),
    }
    PathAndQuery::from_maybe_shared(value).map_err(|_| Malformed::Message)
}

/// A token, such as `websocket` (RFC 8441 section 4).
fn parse_protocol(value: &[u8]) -> Result<h2::ext::Protocol, Malformed> {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(b);
    let text = std::str::from_utf8(value).ok().filter(|text| !text.is_empty());
    match text {
        Some(text) if value.iter().all(token) => Ok(text.into()),
        _ => Err(Malformed::Message),
    }
}

/// HTTP needs an authority, in one place or the same in both (section 4.3.1).
fn check_host(
    scheme: &Scheme,
    authority: Option<&Authority>,
    headers: &HeaderMap,
    hosts: usize,
) -> Result<(), Malformed> {
    let needed = *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP;
    if needed && authority.is_none() && hosts == 0 {
        return Err(Malformed::Message);
    }
    if hosts == 0 {
        return Ok(());
    }
    let differs = |host: &header::HeaderValue| {
        let other = |it: &Authority| !host.as_bytes().eq_ignore_ascii_case(it.as_str().as_bytes());
        needed && host.is_empty() || authority.is_some_and(other)
    };
    if headers.get_all(header::HOST).iter().any(differs) {
        return Err(Malformed::Message);
    }
    Ok(())
}
