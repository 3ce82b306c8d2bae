//! Stored responses: what may be kept (RFC 9111 section 3), what is kept, and how a kept one is
//! freshened (section 3.2).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        AGE, ALT_SVC, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG,
        LAST_MODIFIED, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use super::{
    admission::{NoStore, is_shared, is_stored_method, permit},
    date,
    directives::{RequestDirectives, ResponseDirectives},
    freshness::{Exchange, Freshness, date_of, is_cacheable_by_default},
    named::Named,
    policy::Policy,
    vary::{Selection, Vary},
};

/// Groups that a response can be purged by, parted by spaces.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// Groups that a response can be purged by, parted by commas.
pub const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// Fields that hold for one connection (RFC 9110 section 7.6.1) or for one proxy (RFC 9111 section
/// 3.1), beside those that `Connection` names, or that speak of the origin's own ports (RFC 7838).
const NOT_STORED: [HeaderName; 13] = [
    ALT_SVC,
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    AGE,
];

/// A request, as far as a cache looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its header section as the client sent it.
    pub headers: &'a HeaderMap,
    /// Its cache directives.
    pub directives: RequestDirectives,
    named: Named,
}

impl<'a> Request<'a> {
    /// A request; reads its directives.
    pub fn new(method: &'a Method, headers: &'a HeaderMap) -> Self {
        let named = Named::of(headers);
        let directives = match named.has(Named::CACHE_CONTROL) {
            true => RequestDirectives::of(headers),
            false => RequestDirectives::default(),
        };
        Self { method, headers, directives, named }
    }

    /// Whether it has one of these fields.
    pub(super) const fn has(&self, fields: Named) -> bool {
        self.named.has(fields)
    }
}

/// A response as it came, all but the body.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its header section.
    pub headers: &'a HeaderMap,
    /// When it was asked for and when it came.
    pub exchange: Exchange,
    /// Whether its `Content-Location` is the URL that was asked for
    /// ([`super::key::Target::is_content_location`]): lets the answer to a `POST` be stored.
    pub is_content_location: bool,
}

/// All of a stored response but its body.
#[derive(Debug, Clone)]
pub struct Head {
    status: StatusCode,
    headers: HeaderMap,
    selection: Selection,
    freshness: Freshness,
    tags: Vec<Box<[u8]>>,
    /// Whether requests with `Authorization` may share it (RFC 9111 section 3.5).
    is_shared: bool,
    useless_at: crate::time::Time,
}

impl Head {
    /// Whether and how the answer to `request` is stored. To be asked before the body comes.
    pub fn of(
        request: &Request<'_>,
        response: &Response<'_>,
        policy: &Policy,
    ) -> Result<Self, NoStore> {
        let Response { status, headers, .. } = *response;
        let directives = ResponseDirectives::of(headers);
        permit(request, response, &directives, policy)?;
        let is_shared = is_shared(&directives);
        if request.has(Named::AUTHORIZATION) && !is_shared {
            return Err(NoStore::Authorization);
        }
        let freshness = Freshness::of(status, headers, &directives, response.exchange, policy);
        let by_default = is_stored_method(request.method)
            && (directives.public || is_cacheable_by_default(status));
        if !freshness.is_explicit() && !by_default {
            return Err(NoStore::Status);
        }
        let Vary::Fields(names) = Vary::of(headers) else { return Err(NoStore::Vary) };
        let tags = tags(headers, policy.tags_max).ok_or(NoStore::Tags)?;
        let headers = kept(headers, &directives, response.exchange);
        let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
        let useless_at = freshness.useless_at(has_validator, policy);
        if useless_at <= response.exchange.answered {
            return Err(NoStore::Useless);
        }
        let selection = Selection::of(names, request.headers, &headers);
        let head = Self { status, headers, selection, freshness, tags, is_shared, useless_at };
        if head.weight() > policy.object_max {
            return Err(NoStore::TooLarge);
        }
        Ok(head)
    }

    /// The response with its whole body.
    pub fn with_body(self, body: Bytes, policy: &Policy) -> Result<Stored, NoStore> {
        if self.weight() + body.len() as u64 > policy.object_max {
            return Err(NoStore::TooLarge);
        }
        Ok(Stored { head: self, body })
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The header section as stored: without what is not stored and without `Age`.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What selected it.
    pub const fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Its age and lifetime.
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Whether requests with `Authorization` may share it.
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// When it will be of no use any more.
    pub const fn useless_at(&self) -> crate::time::Time {
        self.useless_at
    }

    /// The tags it can be purged by.
    pub fn tags(&self) -> &[Box<[u8]>] {
        &self.tags
    }

    /// Bytes it takes.
    pub fn weight(&self) -> u64 {
        /// The structure, its `Arc` and its place in the page.
        const OWN: u64 = size_of::<Stored>() as u64 + 32;
        /// A place in a header map: index, name and value, and what it keeps free to grow.
        const FIELD: u64 = 144;
        let fields = self.headers.iter();
        let fields = fields.map(|(name, value)| (name.as_str().len() + value.len()) as u64 + FIELD);
        OWN + fields.sum::<u64>() + self.selection.weight()
    }
}

/// A stored response.
#[derive(Debug, Clone)]
pub struct Stored {
    head: Head,
    body: Bytes,
}

impl Stored {
    /// All but the body.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The whole body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes it takes.
    pub fn weight(&self) -> u64 {
        self.head.weight() + self.body.len() as u64
    }

    /// Puts what a `304`, or the answer to a `HEAD`, says in the place of what was stored (RFC 9111
    /// section 3.2) and works everything out anew. Tells as well why the outcome is not to be
    /// stored, should that be so: it is then for the one use that it was validated for.
    pub fn freshened(
        &self,
        request: &Request<'_>,
        update: &HeaderMap,
        exchange: Exchange,
        policy: &Policy,
    ) -> (Self, Option<NoStore>) {
        /// They are about the body that is stored, or about one that was not sent.
        const NOT_UPDATED: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];
        let mut headers = self.head.headers.clone();
        // Without a Date of its own it is as of now.
        headers.remove(DATE);
        for name in update.keys().filter(|name| !NOT_UPDATED.contains(name)) {
            headers.remove(name);
            for value in update.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let method = Method::GET;
        let request = Request { method: &method, ..*request };
        let response = Response {
            status: self.head.status,
            headers: &headers,
            exchange,
            is_content_location: false,
        };
        match Head::of(&request, &response, policy) {
            Ok(head) => (Self { head, body: self.body.clone() }, None),
            Err(why) => {
                let directives = ResponseDirectives::of(&headers);
                let head = Head {
                    freshness: Freshness::of(
                        self.head.status,
                        &headers,
                        &directives,
                        exchange,
                        policy,
                    ),
                    headers: kept(&headers, &directives, exchange),
                    ..self.head.clone()
                };
                (Self { head, body: self.body.clone() }, Some(why))
            }
        }
    }
}

/// The fields that are stored (RFC 9111 section 3.1), those named by a restricted `no-cache` or
/// `private` left out, and `Date` put in if there is none (RFC 9110 section 6.6.1).
fn kept(headers: &HeaderMap, directives: &ResponseDirectives, exchange: Exchange) -> HeaderMap {
    let mut kept = headers.clone();
    for line in headers.get_all(CONNECTION) {
        for name in line.as_bytes().split(|byte| *byte == b',') {
            if let Ok(name) = HeaderName::from_bytes(name.trim_ascii()) {
                kept.remove(name);
            }
        }
    }
    let listed = directives.no_cache.fields().iter().chain(directives.private.fields());
    for name in NOT_STORED.iter().chain(listed) {
        kept.remove(name);
    }
    if date_of(headers, exchange.answered).is_none()
        && let Ok(date) = HeaderValue::try_from(date::format(exchange.answered))
    {
        kept.insert(DATE, date);
    }
    kept
}

/// The tags in `Surrogate-Key` and `Cache-Tag`; none if there are more than `max` or one is longer
/// than any sensible tag.
fn tags(headers: &HeaderMap, max: usize) -> Option<Vec<Box<[u8]>>> {
    const LENGTH_MAX: usize = 1_024;
    let mut tags: Vec<Box<[u8]>> = Vec::new();
    for (name, separator) in [(SURROGATE_KEY, b' '), (CACHE_TAG, b',')] {
        for line in headers.get_all(name) {
            let members = line.as_bytes().split(|byte| *byte == separator).map(<[u8]>::trim_ascii);
            for tag in members.filter(|tag| !tag.is_empty()) {
                if tags.iter().any(|other| **other == *tag) {
                    continue;
                }
                if tags.len() == max || tag.len() > LENGTH_MAX {
                    return None;
                }
                tags.push(tag.into());
            }
        }
    }
    Some(tags)
}

#[cfg(test)]
mod tests;
