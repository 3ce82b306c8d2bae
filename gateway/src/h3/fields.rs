//! Field sections to `http` types and back (RFC 9114 sections 4.1.2 to 4.4).

use bytes::BytesMut;
use http::{HeaderMap, Request, Response, StatusCode, request::Parts};

use super::code::Code;
pub use super::frame::{encode_data_header, encode_goaway};

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

/// Reads a request's head.
pub fn request(block: &[u8], bounds: Bounds) -> Result<Request<()>, Malformed> {
    unimplemented!("{block:?} {bounds:?}")
}
/// Reads a response's head.
pub fn response(block: &[u8], bounds: Bounds) -> Result<Response<()>, Malformed> {
    unimplemented!("{block:?} {bounds:?}")
}
/// Reads trailers.
pub fn trailers(block: &[u8], bounds: Bounds) -> Result<HeaderMap, Malformed> {
    unimplemented!("{block:?} {bounds:?}")
}
/// Writes a whole HEADERS frame with a request's head.
pub fn encode_request(head: &Parts, out: &mut BytesMut) {
    unimplemented!("{head:?} {out:?}")
}
/// Writes a whole HEADERS frame with a response's head.
pub fn encode_response(status: StatusCode, headers: &HeaderMap, out: &mut BytesMut) {
    unimplemented!("{status:?} {headers:?} {out:?}")
}
/// Writes a whole HEADERS frame with trailers.
pub fn encode_trailers(headers: &HeaderMap, out: &mut BytesMut) {
    unimplemented!("{headers:?} {out:?}")
}
