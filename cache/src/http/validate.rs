//! Conditions: those of clients that a stored response answers, and those that ask the origin
//! whether a stored response still holds (RFC 9111 section 4.3, RFC 9110 section 13).

use http::{
    HeaderMap, Method, StatusCode,
    header::{
        CONTENT_LENGTH, DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
        IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    },
};

use super::{
    admission::NoStore,
    date,
    freshness::{Exchange, date_of},
    named::Named,
    policy::Policy,
    stored::{Request, Stored},
};
use crate::time::Time;

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it stands for content that is only alike.
    pub is_weak: bool,
    /// What is within the quotes.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads the tag at the start of `text`; gives what follows as well.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (is_weak, rest) = text.strip_prefix(b"W/").map_or((false, text), |rest| (true, rest));
        let rest = rest.strip_prefix(b"\"")?;
        let good = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
        let end = rest.iter().position(|byte| !good(byte))?;
        let (opaque, rest) = rest.split_at(end);
        Some((Self { is_weak, opaque }, rest.strip_prefix(b"\"")?))
    }

    /// Reads a tag and nothing else.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        Self::split(text.trim_ascii()).filter(|(_, rest)| rest.is_empty()).map(|(tag, _)| tag)
    }

    /// The tag of a response.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        headers.get(ETAG).and_then(|value| Self::parse(value.as_bytes()))
    }

    /// Whether both stand for equivalent content (weak comparison).
    pub fn is_like(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// Whether both stand for the same bytes (strong comparison).
    pub fn is_same(&self, other: &EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.is_like(other)
    }
}

/// Whether the request's condition makes the answer a `304` (RFC 9111 section 4.3.2): the client
/// has what is stored. `If-None-Match` comes before `If-Modified-Since`.
pub fn is_not_modified(request: &Request<'_>, stored: &Stored, now: Time) -> bool {
    let head = stored.head();
    head.status().is_success() && is_known(request, head.headers(), now)
}

/// Whether the client of a `GET` or `HEAD` has, by its conditions, what has these headers.
pub fn is_known(request: &Request<'_>, headers: &HeaderMap, now: Time) -> bool {
    if *request.method != Method::GET && *request.method != Method::HEAD {
        return false;
    }
    if request.has(Named::IF_NONE_MATCH) {
        let tag = EntityTag::of(headers);
        let lines = &mut request.headers.get_all(IF_NONE_MATCH).iter();
        return lines.any(|line| names_tag(line.as_bytes(), tag, |a, b| a.is_like(b)));
    }
    if !request.has(Named::IF_MODIFIED_SINCE) {
        return false;
    }
    let mut since = request.headers.get_all(IF_MODIFIED_SINCE).iter();
    let (Some(line), None) = (since.next(), since.next()) else { return false };
    let Some(since) = date::parse(line.as_bytes(), now) else { return false };
    let modified = match headers.get(LAST_MODIFIED) {
        Some(value) => date::parse(value.as_bytes(), now),
        None => date_of(headers, now),
    };
    modified.is_some_and(|modified| modified <= since)
}

/// Whether the request's conditions forbid it, so that an origin answers `412` (RFC 9110 section
/// 13.2.2): it wants something else than what has these headers. `If-Match` comes before
/// `If-Unmodified-Since`.
pub fn is_forbidden(request: &Request<'_>, headers: &HeaderMap, now: Time) -> bool {
    if !request.has(Named::FOR_ORIGIN) {
        return false;
    }
    let mut lines = request.headers.get_all(IF_MATCH).iter().peekable();
    if lines.peek().is_some() {
        let tag = EntityTag::of(headers);
        return !lines.any(|line| names_tag(line.as_bytes(), tag, |a, b| a.is_same(b)));
    }
    let time = |value: &http::HeaderValue| date::parse(value.as_bytes(), now);
    let since = request.headers.get(IF_UNMODIFIED_SINCE).and_then(time);
    let modified = headers.get(LAST_MODIFIED).and_then(time);
    matches!((modified, since), (Some(modified), Some(since)) if modified > since)
}

/// Whether a line of tags names `tag`, as `is_it` compares them; `*` names whatever there is.
fn names_tag(
    line: &[u8],
    tag: Option<EntityTag<'_>>,
    is_it: fn(&EntityTag<'_>, &EntityTag<'_>) -> bool,
) -> bool {
    let mut rest = line.trim_ascii();
    if rest == b"*" {
        return true;
    }
    let Some(tag) = tag else { return false };
    loop {
        rest = rest.trim_ascii_start();
        if let Some(next) = rest.strip_prefix(b",") {
            rest = next;
            continue;
        }
        let Some((other, next)) = EntityTag::split(rest) else { return false };
        if is_it(&tag, &other) {
            return true;
        }
        rest = next;
    }
}

/// Whether a `Range` counts: there is no `If-Range`, or what it names is what has these headers,
/// byte for byte (RFC 9110 section 13.1.5).
pub fn is_range_valid(request: &Request<'_>, headers: &HeaderMap, now: Time) -> bool {
    let Some(condition) = request.headers.get(IF_RANGE) else { return true };
    if let Some(tag) = EntityTag::parse(condition.as_bytes()) {
        return EntityTag::of(headers).is_some_and(|own| own.is_same(&tag));
    }
    // A date is strong only if the content did not change within the second (section 8.8.2.2).
    let time = |value: &http::HeaderValue| date::parse(value.as_bytes(), now);
    let modified = headers.get(LAST_MODIFIED).and_then(time);
    let (Some(modified), Some(date)) = (modified, headers.get(DATE).and_then(time)) else {
        return false;
    };
    time(condition) == Some(modified) && modified < date
}

/// Makes a request to the origin one for the whole content: what the client knows already and what
/// it wants of it is answered from what comes. For every request whose answer is to be stored.
pub fn prepare_fill(headers: &mut HeaderMap) {
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
        headers.remove(name);
    }
}

/// Makes a request to the origin ask whether `stored` still holds (RFC 9111 section 4.3.1). If that
/// has no validator it is a request for the whole.
pub fn prepare_validation(stored: &Stored, headers: &mut HeaderMap) {
    prepare_fill(headers);
    for (validator, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = stored.head().headers().get(validator) {
            headers.insert(condition, value.clone());
        }
    }
}

/// What a `304` says of the response that was asked about.
#[derive(Debug)]
pub enum Validated {
    /// It holds: answer with this and store it.
    Store(Stored),
    /// It holds, but is not to be stored any longer: answer with this and purge the URL.
    Serve(Stored, NoStore),
    /// The `304` is about something else: ask again without a condition.
    Another,
}

/// Takes in a `304` to a request made by [`prepare_validation`] (RFC 9111 section 4.3.4). `request`
/// is the client's.
pub fn freshen(
    stored: &Stored,
    request: &Request<'_>,
    not_modified: &HeaderMap,
    exchange: Exchange,
    policy: &Policy,
) -> Validated {
    if !is_about(stored, not_modified, exchange.answered) {
        return Validated::Another;
    }
    match stored.freshened(request, not_modified, exchange, policy) {
        (stored, None) => Validated::Store(stored),
        (stored, Some(why)) => Validated::Serve(stored, why),
    }
}

/// What the answer to a `HEAD` that went to the origin says of a stored response (RFC 9111 section
/// 4.3.5). None: nothing, or that it is out of date, which time will tell.
pub fn freshen_by_head(
    stored: &Stored,
    request: &Request<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    exchange: Exchange,
    policy: &Policy,
) -> Option<Stored> {
    let length = |headers: &HeaderMap| headers.get(CONTENT_LENGTH).map(|v| v.as_bytes().to_vec());
    let own = stored.body().len().to_string().into_bytes();
    let same_length = length(headers).is_none_or(|length| length == own);
    let good = status == StatusCode::OK && stored.head().status() == status && same_length;
    if !good || !is_about(stored, headers, exchange.answered) {
        return None;
    }
    let (stored, forbidden) = stored.freshened(request, headers, exchange, policy);
    forbidden.is_none().then_some(stored)
}

/// Whether the validators of an update, if it has any, are those of the stored response.
fn is_about(stored: &Stored, update: &HeaderMap, now: Time) -> bool {
    let own = stored.head().headers();
    match (EntityTag::of(update), EntityTag::of(own)) {
        (Some(new), Some(own)) => return new.is_like(&own),
        (Some(_), None) => return false,
        (None, _) => {}
    }
    let modified = |headers: &HeaderMap| {
        headers.get(LAST_MODIFIED).map(|value| date::parse(value.as_bytes(), now))
    };
    modified(update).is_none_or(|new| Some(new) == modified(own))
}

#[cfg(test)]
mod tests;
