//! Heads and trailers as whole HEADERS frames (RFC 9114 sections 4.3 and 7.2.2).

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};

use crate::h3::{frame::kind, qpack};

/// Writes a whole HEADERS frame with a request's head.
///
/// With a URI in absolute form the authority takes the place of Host; with one in origin form Host
/// names it, and the scheme is `https`. The fields must not be those of an HTTP/1 connection.
pub fn encode_request(head: &Parts, out: &mut BytesMut) {
    out.reserve(ROOM + ROOM_PER_FIELD * head.headers.len());
    let uri = &head.uri;
    let protocol = head.extensions.get::<h2::ext::Protocol>();
    let pseudo = |name, value: &str, out: &mut BytesMut| {
        qpack::encode(name, value.as_bytes(), false, out);
    };
    write_frame(out, |out| {
        pseudo(":method", head.method.as_str(), out);
        // Plain CONNECT names an authority only (section 4.4).
        let tunnel = head.method == Method::CONNECT && protocol.is_none();
        if !tunnel {
            pseudo(":scheme", uri.scheme_str().unwrap_or("https"), out);
        }
        if let Some(authority) = uri.authority() {
            pseudo(":authority", authority.as_str(), out);
        }
        if !tunnel {
            pseudo(":path", uri.path_and_query().map_or("/", |path| path.as_str()), out);
        }
        if let Some(protocol) = protocol {
            pseudo(":protocol", protocol.as_str(), out);
        }
        for (name, value) in &head.headers {
            if uri.authority().is_none() || *name != header::HOST {
                write_field(name, value, out);
            }
        }
    });
}

/// Writes a whole HEADERS frame with a response's head. The fields must not be those of an HTTP/1
/// connection.
pub fn encode_response(status: StatusCode, headers: &HeaderMap, out: &mut BytesMut) {
    out.reserve(ROOM + ROOM_PER_FIELD * headers.len());
    write_frame(out, |out| {
        qpack::encode(":status", status.as_str().as_bytes(), false, out);
        for (name, value) in headers {
            write_field(name, value, out);
        }
    });
}

/// Writes a whole HEADERS frame with trailers.
pub fn encode_trailers(headers: &HeaderMap, out: &mut BytesMut) {
    out.reserve(ROOM_PER_FIELD * (headers.len() + 1));
    write_frame(out, |out| {
        for (name, value) in headers {
            write_field(name, value, out);
        }
    });
}

/// Bytes that the frame's start, the pseudo-header fields and most fields stay within.
const ROOM: usize = 128;
const ROOM_PER_FIELD: usize = 32;

fn write_field(name: &HeaderName, value: &HeaderValue, out: &mut BytesMut) {
    qpack::encode(name.as_str(), value.as_bytes(), value.is_sensitive() || is_secret(name), out);
}

/// Whether values of this name are worth guessing at (RFC 9204 section 7.1.3).
fn is_secret(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::COOKIE, header::SET_COOKIE, header::PROXY_AUTHORIZATION]
        .contains(name)
}

/// Writes a HEADERS frame around the field lines that `write` gives.
fn write_frame(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind::HEADERS as u8);
    let start = out.len();
    // The length stands before what it counts; nearly always it fits in two bytes.
    out.put_u16(0);
    qpack::encode_prefix(out);
    write(out);
    let length = out.len() - start - 2;
    if let Ok(short @ 0..0x4000) = u16::try_from(length) {
        out[start..start + 2].copy_from_slice(&(0x4000 | short).to_be_bytes());
        return;
    }
    out.put_bytes(0, 6);
    out.copy_within(start + 2..start + 2 + length, start + 8);
    let long = 0xc000_0000_0000_0000 | length as u64;
    out[start..start + 8].copy_from_slice(&long.to_be_bytes());
}
