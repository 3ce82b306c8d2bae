//! HTTP/1.1 responses from bytes: heads and body framing (RFC 9112 sections 2 to 7). Pure.
//!
//! The endpoint is not trusted: whatever could be read in two ways is refused. httparse reads the
//! grammar of heads and trailers; what frames a body is decided here.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::ext::ReasonPhrase;
use smallvec::SmallVec;

use crate::error::Error;

#[cfg(test)]
mod tests;

/// Longest head taken, in bytes, and most fields.
pub const HEAD_BYTES: usize = 64 * 1024;
const FIELDS: usize = 256;
/// Longest line that announces a chunk, extensions and all, and longest trailer section.
const CHUNK_LINE_BYTES: usize = 4 * 1024;
const TRAILER_BYTES: usize = 16 * 1024;
/// Bytes of chunk extensions that one body may waste.
const EXTENSION_BYTES: usize = 16 * 1024;

/// A whole head, and what its fields say of its body and of its connection. They are looked at as
/// they are taken, which spares a search for each of them.
#[derive(Debug)]
pub struct Head {
    /// Status, version and fields. A Connection that only says whether the connection stays open is
    /// left out: it concerns nobody else.
    pub response: Response<()>,
    coding: Said<()>,
    length: Said<u64>,
    closes: bool,
    keeps: bool,
}

/// What all lines of a field come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said<T> {
    Nothing,
    This(T),
    Nonsense,
}

/// Takes a whole head off the buffer's front; `None` while it is incomplete.
///
/// # Errors
/// [`Error::UpstreamGarbage`] for what is no head, [`Error::UpstreamHeadersTooLarge`].
pub fn take_head(buffer: &mut BytesMut) -> Result<Option<Head>, Error> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES => length,
        Ok(httparse::Status::Partial) if buffer.len() < HEAD_BYTES => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Error::UpstreamHeadersTooLarge);
        }
        Err(_) => return Err(Error::UpstreamGarbage),
    };
    let start = buffer.as_ptr().addr();
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let mut head = Head::new(status.ok_or(Error::UpstreamGarbage)?);
    *head.response.version_mut() = match parsed.version {
        Some(0) => Version::HTTP_10,
        Some(1) => Version::HTTP_11,
        _ => return Err(Error::UpstreamGarbage),
    };
    let reason = parsed.reason.unwrap_or_default();
    if !reason.is_empty() && status.and_then(|status| status.canonical_reason()) != Some(reason) {
        let reason = ReasonPhrase::try_from(reason.as_bytes());
        head.response.extensions_mut().insert(reason.map_err(|_| Error::UpstreamGarbage)?);
    }
    // Where the values lie, for they are to share the buffer's memory. Filled and emptied where it
    // is: it is large, and to hand it on would copy it.
    let mut places = SmallVec::<[(HeaderName, usize, usize); 24]>::new();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| Error::UpstreamGarbage)?;
        if head.note(&name, field.value) {
            let begin = field.value.as_ptr().addr().wrapping_sub(start);
            places.push((name, begin, begin + field.value.len()));
        }
    }
    let bytes = buffer.split_to(length).freeze();
    let headers = head.response.headers_mut();
    headers.reserve(places.len() + ADDED);
    for (name, begin, end) in places.drain(..) {
        // An empty value may point anywhere.
        let value = if begin < end { bytes.slice(begin..end) } else { Bytes::new() };
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Error::UpstreamGarbage)?;
        headers.append(name, value);
    }
    Ok(Some(head))
}

/// Fields that the gateway is going to add to a head.
const ADDED: usize = 2;

impl Head {
    fn new(status: StatusCode) -> Self {
        let mut response = Response::new(());
        *response.status_mut() = status;
        let (coding, length) = (Said::Nothing, Said::Nothing);
        Self { response, coding, length, closes: false, keeps: false }
    }

    /// Takes note of a field; whether it is to be kept.
    fn note(&mut self, name: &HeaderName, value: &[u8]) -> bool {
        match *name {
            header::CONTENT_LENGTH => {
                self.length = match (self.length, decimal(value)) {
                    (Said::Nothing, Some(length)) => Said::This(length),
                    (Said::This(before), Some(length)) if before == length => self.length,
                    _ => Said::Nonsense,
                };
            }
            header::TRANSFER_ENCODING => {
                let chunked = value.eq_ignore_ascii_case(b"chunked");
                let alone = self.coding == Said::Nothing;
                self.coding = if alone && chunked { Said::This(()) } else { Said::Nonsense };
            }
            header::CONNECTION => {
                let mut nominates = false;
                for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    let closes = option.eq_ignore_ascii_case(b"close");
                    let keeps = option.eq_ignore_ascii_case(b"keep-alive");
                    self.closes |= closes;
                    self.keeps |= keeps;
                    nominates |= !(closes || keeps || option.is_empty());
                }
                return nominates;
            }
            _ => {}
        }
        true
    }

    /// The framing of the body, in answer to a request of this method (RFC 9112 section 6.3).
    ///
    /// # Errors
    /// [`Error::UpstreamGarbage`] where there is more than one answer.
    pub fn framing(&self, method: &Method) -> Result<Framing, Error> {
        let (status, version) = (self.response.status(), self.response.version());
        let chunked = self.coding == Said::This(());
        if self.coding == Said::Nonsense || (chunked && version != Version::HTTP_11) {
            return Err(Error::UpstreamGarbage);
        }
        let bodiless = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match self.length {
            _ if bodiless => Ok(Framing::Empty),
            _ if chunked => Ok(Framing::Chunked),
            Said::Nothing => Ok(Framing::Close),
            Said::This(0) => Ok(Framing::Empty),
            Said::This(length) => Ok(Framing::Length(length)),
            Said::Nonsense => Err(Error::UpstreamGarbage),
        }
    }

    /// Whether the endpoint lets the connection be used again after this response (RFC 9112, 9.3).
    pub fn keeps_alive(&self) -> bool {
        !self.closes && (self.keeps || self.response.version() == Version::HTTP_11)
    }
}

/// How a response's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the connection closes.
    Close,
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if !(1..=19).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// What a look at the buffer brought.
#[derive(Debug)]
pub enum Step {
    /// A piece of the body, not empty.
    Data(Bytes),
    /// The trailer section; the body is over.
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// Nothing before more bytes have come.
    More,
}

/// Cuts a body out of the bytes of a connection.
#[derive(Debug)]
pub struct Body {
    state: State,
    extensions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Close,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

impl Body {
    /// A body that has not begun.
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::Close => State::Close,
        };
        Self { state, extensions: 0 }
    }

    /// Whether all of it was taken.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes still to come, where that is known.
    pub const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(length) => Some(length),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// [`Error::UpstreamBodyBroken`]: the framing is broken.
    pub fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Error> {
        loop {
            match self.state {
                State::Done => return Ok(Step::End),
                State::Close if buffer.is_empty() => return Ok(Step::More),
                State::Close => return Ok(Step::Data(buffer.split().freeze())),
                State::Length(left) => {
                    let Some(data) = take(buffer, left) else { return Ok(Step::More) };
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Step::Data(data));
                }
                State::ChunkSize => {
                    let Some(size) = self.take_size(buffer)? else { return Ok(Step::More) };
                    self.state = if size == 0 { State::Trailers } else { State::ChunkData(size) };
                }
                State::ChunkData(left) => {
                    let Some(data) = take(buffer, left) else { return Ok(Step::More) };
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    return Ok(Step::Data(data));
                }
                State::ChunkEnd => match &buffer[..] {
                    [b'\r', b'\n', ..] => {
                        let _ = buffer.split_to(2);
                        self.state = State::ChunkSize;
                    }
                    [] | [b'\r'] => return Ok(Step::More),
                    _ => return Err(Error::UpstreamBodyBroken),
                },
                State::Trailers => return self.take_trailers(buffer),
            }
        }
    }

    /// The connection was closed by the endpoint: the end of a body that says so, else a cut.
    ///
    /// # Errors
    /// [`Error::UpstreamBodyBroken`]
    pub const fn close(&mut self) -> Result<(), Error> {
        match self.state {
            State::Close | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Error::UpstreamBodyBroken),
        }
    }

    /// `size [; extension]`, ended by CR LF and by nothing less.
    fn take_size(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, Error> {
        let Some(end) = buffer.iter().position(|b| *b == b'\n') else {
            // The carriage return may be there already.
            let fits = buffer.len() <= CHUNK_LINE_BYTES;
            return if fits { Ok(None) } else { Err(Error::UpstreamBodyBroken) };
        };
        let line = buffer.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").filter(|line| line.len() < CHUNK_LINE_BYTES);
        let line = line.filter(|line| !line.contains(&b'\r')).ok_or(Error::UpstreamBodyBroken)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let extension = line[digits..].trim_ascii_start();
        self.extensions += extension.len();
        let sound = (1..=16).contains(&digits)
            && matches!(extension, [] | [b';', ..])
            && self.extensions <= EXTENSION_BYTES;
        let text = std::str::from_utf8(&line[..digits]).unwrap_or_default();
        let size = u64::from_str_radix(text, 16).ok().filter(|_| sound);
        size.map(Some).ok_or(Error::UpstreamBodyBroken)
    }

    fn take_trailers(&mut self, buffer: &mut BytesMut) -> Result<Step, Error> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        match httparse::parse_headers(buffer, &mut fields) {
            Ok(httparse::Status::Complete((length, fields))) if length <= TRAILER_BYTES => {
                let mut trailers = HeaderMap::with_capacity(fields.len());
                for field in fields {
                    let name = HeaderName::from_bytes(field.name.as_bytes());
                    let value = HeaderValue::from_bytes(field.value);
                    let (Ok(name), Ok(value)) = (name, value) else {
                        return Err(Error::UpstreamBodyBroken);
                    };
                    trailers.append(name, value);
                }
                let _ = buffer.split_to(length);
                self.state = State::Done;
                Ok(if trailers.is_empty() { Step::End } else { Step::Trailers(trailers) })
            }
            Ok(httparse::Status::Partial) if buffer.len() < TRAILER_BYTES => Ok(Step::More),
            Ok(_) | Err(_) => Err(Error::UpstreamBodyBroken),
        }
    }
}

fn take(buffer: &mut BytesMut, most: u64) -> Option<Bytes> {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    (length > 0).then(|| buffer.split_to(length).freeze())
}
