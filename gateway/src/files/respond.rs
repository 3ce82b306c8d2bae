//! What is answered with a file: conditions, ranges and fields, by the rules that the cache has.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use smallvec::{SmallVec, smallvec};
use weir_cache::{
    http::{
        date,
        range::Parts,
        serve::{self, Multipart},
        stored::Request,
        validate,
    },
    time::Time,
};

use super::{coding::Coding, kind::Kind};
use crate::http::{body::Body, path::normalize};

/// A file that was changed so short a time ago could be changed again without its time showing it.
const SETTLED: u64 = 2;

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its bytes.
    pub(super) length: u64,
    /// When it was changed, in seconds since 1970.
    pub(super) modified: i64,
    /// And nanoseconds.
    pub(super) modified_nanos: u64,
    /// Its number.
    pub(super) inode: u64,
    /// What it is.
    pub(super) kind: Kind,
    /// What it is compressed with.
    pub(super) coding: Option<Coding>,
    /// Whether another client may get another file.
    pub(super) varies: bool,
}

/// A response, but for the bytes of the file.
#[derive(Debug)]
pub(super) struct Respond {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What the body is put together of; nothing for a HEAD and where there is none.
    pub(super) slices: SmallVec<[Slice; 1]>,
}

/// A part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slice {
    /// These bytes.
    Text(Bytes),
    /// These of the file.
    File(Range<u64>),
}

impl Slice {
    /// How many bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File(range) => range.end - range.start,
        }
    }
}

impl Facts {
    /// The tag: a file has another when its time, length or number is another. It is weak until the
    /// time of the change is over for good.
    fn tag(&self, now: Time) -> String {
        let Self { modified, modified_nanos, length, inode, .. } = self;
        let seconds = i64::try_from(now.millis() / 1000).unwrap_or(i64::MAX);
        let settled = seconds.saturating_sub(*modified) >= SETTLED as i64;
        let weak = if settled { "" } else { "W/" };
        format!("{weak}\"{modified:x}.{modified_nanos:x}-{length:x}-{inode:x}\"")
    }

    fn headers(&self, now: Time, date: HeaderValue) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(header::CONTENT_TYPE, self.kind.value());
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::DATE, date);
        set(&mut headers, header::ETAG, &self.tag(now));
        // Nothing was changed in the future (RFC 9110 section 8.8.2.1).
        let modified = Time::from_seconds(u64::try_from(self.modified).unwrap_or(0)).min(now);
        set(&mut headers, header::LAST_MODIFIED, &date::format(modified));
        if let Some(coding) = self.coding {
            headers.insert(header::CONTENT_ENCODING, coding.value());
        }
        if self.varies {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        headers
    }
}

/// What a GET or HEAD is answered with a file (RFC 9110 section 13.2.2).
pub(super) fn respond(
    request: &Request<'_>,
    facts: &Facts,
    now: Time,
    date: HeaderValue,
    nonce: u128,
) -> Respond {
    let mut headers = facts.headers(now, date);
    let bare = |status, mut headers: HeaderMap| {
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            headers.remove(name);
        }
        Respond { status, headers, slices: SmallVec::new() }
    };
    if validate::is_forbidden(request, &headers, now) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        return bare(StatusCode::PRECONDITION_FAILED, headers);
    }
    if validate::is_known(request, &headers, now) {
        return bare(StatusCode::NOT_MODIFIED, headers);
    }
    let length = usize::try_from(facts.length).unwrap_or(usize::MAX);
    let (status, slices) = match serve::parts(request, &headers, length, now) {
        Parts::Whole => (StatusCode::OK, smallvec![Slice::File(0..facts.length)]),
        Parts::Unsatisfiable => {
            set(&mut headers, header::CONTENT_RANGE, &format!("bytes */{length}"));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            return bare(StatusCode::RANGE_NOT_SATISFIABLE, headers);
        }
        Parts::Some(parts) => {
            (StatusCode::PARTIAL_CONTENT, slices(&mut headers, &parts, length, nonce))
        }
    };
    let all: u64 = slices.iter().map(Slice::len).sum();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(all));
    let empty = all == 0 || *request.method == http::Method::HEAD;
    let slices = if empty { SmallVec::new() } else { slices };
    Respond { status, headers, slices }
}

fn slices(
    headers: &mut HeaderMap,
    parts: &[Range<usize>],
    length: usize,
    nonce: u128,
) -> SmallVec<[Slice; 1]> {
    let file = |part: &Range<usize>| Slice::File(part.start as u64..part.end as u64);
    if let [part] = parts {
        set(headers, header::CONTENT_RANGE, &serve::content_range(part, length));
        return smallvec![file(part)];
    }
    let multipart = Multipart::new(headers.get(header::CONTENT_TYPE).cloned(), length, nonce);
    set(headers, header::CONTENT_TYPE, &multipart.content_type());
    let parts = parts.iter().flat_map(|part| [Slice::Text(multipart.before(part)), file(part)]);
    parts.chain([Slice::Text(multipart.after())]).collect()
}

/// Sends a client to the directory that it means: only there relative links are right.
pub(super) fn moved(path: &str, query: Option<&str>) -> Response<Body> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // As it was sent, more than one slash or a backslash could make browsers go to another host.
    let path = normalize(path).unwrap_or_default();
    let path = path.trim_matches('/');
    set(response.headers_mut(), header::LOCATION, &format!("/{path}/{query}"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// A page of the gateway's own making.
pub(super) fn page(page: String, is_head: bool) -> Response<Body> {
    let length = HeaderValue::from(page.len());
    let body = if is_head { Body::empty() } else { Body::full(page.into()) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, length);
    // Whatever is in the names: nothing of it runs.
    let policy = HeaderValue::from_static("default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Sets a field to a text, which is visible ASCII.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
