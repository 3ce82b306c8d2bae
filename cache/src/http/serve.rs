//! The answer made from a stored response: the whole, its head, a part, several, or that the client
//! has it already (RFC 9111 section 4, RFC 9110 sections 14 and 15.4.5).

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE,
    },
};

use super::{
    named::Named,
    range::Parts,
    stored::{Request, Stored},
    validate,
};
use crate::time::Time;

/// An answer. `Content-Length` and `Age` are among its headers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header section.
    pub headers: HeaderMap,
    /// The body; empty for a `HEAD`, a 304 and a 416.
    pub body: Bytes,
}

/// Answers `request` with `stored`. `nonce` goes into the boundary of several parts: it should be
/// random, so that nobody can write a body that holds it.
pub fn answer(request: &Request<'_>, stored: &Stored, now: Time, nonce: u128) -> Answer {
    let head = stored.head();
    let mut headers = head.headers().clone();
    headers.insert(AGE, decimal(head.freshness().age(now).as_secs()));
    if validate::is_not_modified(request, stored, now) {
        // What is about the content is about the one that the client has.
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE] {
            headers.remove(name);
        }
        return Answer { status: StatusCode::NOT_MODIFIED, headers, body: Bytes::new() };
    }
    let is_ok = head.status() == StatusCode::OK;
    let parts = match is_ok {
        true => parts(request, head.headers(), stored.body().len(), now),
        false => Parts::Whole,
    };
    match parts {
        Parts::Whole => whole(request, stored, headers),
        Parts::Unsatisfiable => {
            let range = format!("bytes */{}", stored.body().len());
            set(&mut headers, CONTENT_RANGE, &range);
            headers.remove(CONTENT_TYPE);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            Answer { status, headers, body: Bytes::new() }
        }
        Parts::Some(parts) => partial(stored, headers, &parts, nonce),
    }
}

/// Answers `request` with what was just fetched for it: as [`answer`] does, but for the `Age`,
/// which stays as the origin sent it (RFC 9111 section 5.1: one that the cache adds says that the
/// response was not made for this request).
pub fn answer_fetched(
    request: &Request<'_>,
    fetched: &Stored,
    received: &HeaderMap,
    now: Time,
    nonce: u128,
) -> Answer {
    let mut answer = answer(request, fetched, now, nonce);
    answer.headers.remove(AGE);
    for age in received.get_all(AGE) {
        answer.headers.append(AGE, age.clone());
    }
    answer
}

/// The parts that are wanted of a body of `length` bytes, which a 200 with these headers would
/// have; ranges are for a `GET`.
pub fn parts(request: &Request<'_>, headers: &HeaderMap, length: usize, now: Time) -> Parts {
    if !request.has(Named::RANGE) {
        return Parts::Whole;
    }
    let mut lines = request.headers.get_all(RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(range), None)
            if *request.method == Method::GET
                && validate::is_range_valid(request, headers, now) =>
        {
            Parts::of(range.as_bytes(), length)
        }
        _ => Parts::Whole,
    }
}

fn whole(request: &Request<'_>, stored: &Stored, mut headers: HeaderMap) -> Answer {
    let status = stored.head().status();
    if status != StatusCode::NO_CONTENT {
        let length = stored.body().len() as u64;
        if !says_length(&headers, length) {
            headers.insert(CONTENT_LENGTH, decimal(length));
        }
    }
    let is_head = *request.method == Method::HEAD;
    let body = if is_head { Bytes::new() } else { stored.body().clone() };
    Answer { status, headers, body }
}

/// Whether the one `Content-Length` is this, as it nearly always is.
fn says_length(headers: &HeaderMap, length: u64) -> bool {
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    let mut buffer = itoa::Buffer::new();
    let length = buffer.format(length).as_bytes();
    said.next().is_some_and(|said| said.as_bytes() == length) && said.next().is_none()
}

/// A number in a buffer of just its length: `HeaderValue::from` allocates twice.
fn decimal(number: u64) -> HeaderValue {
    // Digits are a valid value; the fallback never shows.
    let text = HeaderValue::from_str(itoa::Buffer::new().format(number));
    text.unwrap_or(HeaderValue::from_static("0"))
}

/// Several parts as one body (RFC 9110 section 14.6).
#[derive(Debug)]
pub struct Multipart {
    boundary: String,
    kind: Option<HeaderValue>,
    length: usize,
}

impl Multipart {
    /// Parts of what is of this `kind` and has `length` bytes. `nonce` should be random, so that
    /// nobody can write a body that holds the boundary.
    pub fn new(kind: Option<HeaderValue>, length: usize, nonce: u128) -> Self {
        Self { boundary: format!("{nonce:032x}"), kind, length }
    }

    /// The `Content-Type` of the whole.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What comes before a part.
    pub fn before(&self, part: &Range<usize>) -> Bytes {
        let mut head = BytesMut::new();
        head.extend_from_slice(format!("\r\n--{}\r\n", self.boundary).as_bytes());
        if let Some(kind) = &self.kind {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(kind.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let range = content_range(part, self.length);
        head.extend_from_slice(format!("Content-Range: {range}\r\n\r\n").as_bytes());
        head.freeze()
    }

    /// What comes after the last one.
    pub fn after(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }
}

/// The `Content-Range` of a part of so many bytes.
pub fn content_range(part: &Range<usize>, length: usize) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

fn partial(stored: &Stored, mut headers: HeaderMap, parts: &[Range<usize>], nonce: u128) -> Answer {
    let whole = stored.body();
    let body = if let [part] = parts {
        set(&mut headers, CONTENT_RANGE, &content_range(part, whole.len()));
        whole.slice(part.clone())
    } else {
        let multipart = Multipart::new(headers.get(CONTENT_TYPE).cloned(), whole.len(), nonce);
        let mut body = BytesMut::new();
        for part in parts {
            body.extend_from_slice(&multipart.before(part));
            body.extend_from_slice(&whole[part.clone()]);
        }
        body.extend_from_slice(&multipart.after());
        set(&mut headers, CONTENT_TYPE, &multipart.content_type());
        body.freeze()
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Answer { status: StatusCode::PARTIAL_CONTENT, headers, body }
}

/// Sets a field to a text of digits and letters.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
