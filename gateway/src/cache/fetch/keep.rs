//! Whether an answer is kept, and what is left behind where it is not.

use http::{
    HeaderMap, Response, StatusCode, Version,
    header::{
        CONTENT_LENGTH, CONTENT_TYPE, IF_MODIFIED_SINCE, IF_NONE_MATCH, TRAILER, TRANSFER_ENCODING,
    },
    response,
};
use http_body::Body as _;
use weir_cache::http::{
    admission::NoStore,
    page::Page,
    serve,
    stored::{self, Head},
    validate,
};

use super::Run;
use crate::{
    cache::{NOTE, answer, room::Place, wait::length},
    http::body::Body,
};

impl Run<'_> {
    /// Whether a response is one to store, and the room for its body.
    pub(super) fn keep(
        &self,
        head: &response::Parts,
        body: &Body,
        is_content_location: bool,
    ) -> Result<(Head, Place), NoStore> {
        let kind = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        // A stream has no end to wait for; trailers would be lost to those who come later.
        if kind.starts_with(b"text/event-stream") || head.headers.contains_key(TRAILER) {
            return Err(NoStore::Useless);
        }
        if is_open_ended(head, body) {
            return Err(NoStore::OpenEnded);
        }
        let response = stored::Response {
            status: head.status,
            headers: &head.headers,
            exchange: self.exchange_times(),
            is_content_location,
        };
        let policy = &self.rule.policy;
        let kept = Head::of(&self.asking.request(), &response, policy)?;
        let length = if body.is_end_stream() { Some(0) } else { length(&head.headers) };
        let length = length.unwrap_or(0);
        if kept.weight().saturating_add(length) > policy.object_max {
            return Err(NoStore::TooLarge);
        }
        let place = self.rule.cache.room.take(length).ok_or(NoStore::TooLarge)?;
        Ok((kept, place))
    }

    /// Notes that there is nothing to store, where that is the response's doing.
    pub(super) fn refuse(&mut self, why: NoStore, head: &response::Parts) {
        if let Some(seen) = &mut self.exchange.cache {
            seen.status = seen.status.not_stored(why);
        }
        let requests = matches!(why, NoStore::ForbiddenByRequest | NoStore::Authorization);
        if requests || head.status == StatusCode::NOT_MODIFIED {
            return;
        }
        let now = self.exchange_times().answered;
        let make = |before: Option<&_>| Page::hit_for_miss(before, now, NOTE);
        // The older answer, if there is one, is worth more than the note.
        let _ = self.rule.store().update(&self.asking.key, self.ticket, now, make);
    }

    /// That the client has already what comes.
    pub(super) fn unmodified(&self, head: &Head, received: &HeaderMap) -> Option<Response<Body>> {
        let conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
        if !conditions.iter().any(|name| self.asking.headers.contains_key(name)) {
            return None;
        }
        let (request, now) = (self.asking.request(), self.exchange_times().answered);
        let bare = head.clone().with_body(bytes::Bytes::new(), &self.rule.policy).ok()?;
        let is_unmodified = validate::is_not_modified(&request, &bare, now);
        is_unmodified
            .then(|| serve::answer_fetched(&request, &bare, received, now, 0))
            .map(answer::response)
    }
}

/// Whether the body of a response ends where its connection does.
fn is_open_ended(head: &response::Parts, body: &Body) -> bool {
    let framed = [CONTENT_LENGTH, TRANSFER_ENCODING];
    head.version <= Version::HTTP_11
        && !body.is_end_stream()
        && !framed.iter().any(|name| head.headers.contains_key(name))
}
