//! Requests and responses for tests, spelled as lines of text.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{
    admission::NoStore,
    freshness::Exchange,
    page::Page,
    policy::Policy,
    stored::{Head, Request, Response, Stored},
};
use crate::{
    entry::{Entry, Key},
    time::Time,
};

/// 20 November 2026, noon.
pub(crate) const NOW: Time = Time::from_seconds(1_795_176_000);

pub(crate) fn at(seconds: u64) -> Time {
    NOW + Duration::from_secs(seconds)
}

/// Headers from `name: value` in each line.
pub(crate) fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let name = HeaderName::try_from(name).unwrap();
        headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    headers
}

/// A request, from `METHOD` and header lines.
pub(crate) struct Asked {
    method: Method,
    headers: HeaderMap,
}

impl Asked {
    pub(crate) fn new(text: &str) -> Self {
        let (method, rest) = text.split_once('\n').unwrap_or((text, ""));
        Self { method: method.trim().parse().unwrap(), headers: headers(rest) }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request::new(&self.method, &self.headers)
    }
}

/// Whether and how a response, from `STATUS` and header lines, is stored.
pub(crate) fn head(asked: &str, answer: &str, policy: &Policy) -> Result<Head, NoStore> {
    let (status, rest) = answer.split_once('\n').unwrap_or((answer, ""));
    let headers = headers(rest);
    let response = Response {
        status: StatusCode::from_bytes(status.trim().as_bytes()).unwrap(),
        headers: &headers,
        exchange: Exchange { asked: NOW, answered: NOW },
        is_content_location: headers.contains_key("content-location"),
    };
    Head::of(&Asked::new(asked).request(), &response, policy)
}

/// A stored answer to a GET with the body `0123456789`.
pub(crate) fn stored(answer: &str) -> Arc<Stored> {
    stored_for("GET", answer)
}

pub(crate) fn stored_for(asked: &str, answer: &str) -> Arc<Stored> {
    let policy = Policy::default();
    let head = head(asked, answer, &policy).unwrap();
    Arc::new(head.with_body(Bytes::from_static(b"0123456789"), &policy).unwrap())
}

/// An entry that holds these, the first being the newest.
pub(crate) fn entry(variants: &[Arc<Stored>]) -> Entry<Page> {
    let policy = Policy::default();
    let key = Key::from(&b"key"[..]);
    let mut entry: Option<Entry<Page>> = None;
    for stored in variants.iter().rev() {
        let fill = Page::with(entry.as_ref(), Arc::clone(stored), &policy);
        entry = Some(Entry::new(key.clone(), fill, 1));
    }
    entry.unwrap()
}
