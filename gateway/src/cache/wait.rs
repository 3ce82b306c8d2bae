//! Waiting for the answer to another request for the same.

use std::{future::poll_fn, task::Poll};

use http::{
    HeaderMap, Response,
    header::{AUTHORIZATION, CONTENT_LENGTH, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE},
};
use weir_cache::http::{
    decide::{self, Decision},
    serve,
    stored::Head,
};

use super::{
    Asking, Exchange, Outcome, Question, Rule, answer,
    fill::{Joined, Lead, News, Reader},
    follow::Follow,
    time,
};
use crate::{clock, http::body::Body};

impl Asking {
    pub(super) const fn may_wait(&self) -> bool {
        matches!(
            self.question,
            Question::Whole { alone: false } | Question::Holds { alone: false, .. }
        )
    }

    /// Whether the answer may be read while it comes in: conditions and ranges are met from memory.
    fn may_share(&self) -> bool {
        let conditional = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];
        !conditional.iter().any(|name| self.headers.contains_key(name))
    }
}

/// So often may the upstream fail those whom one waits for; then one asks for oneself. Each time
/// one of those who wait asks next: all at once would be too much for an upstream that has trouble,
/// and one after the other too slow for those at the end of the queue.
const FAILURES_MAX: u32 = 2;

/// What came of waiting for others.
pub(super) enum Waited {
    Lead(Lead),
    Answer(Response<Body>),
    Alone,
}

/// Becomes the one who asks, or has what another one got.
pub(super) async fn wait(exchange: &mut Exchange, rule: &Rule, asking: &Asking) -> Waited {
    let (mut patience, shares, mut failures) = (None, asking.may_share(), 0);
    loop {
        let mut reader = match rule.cache.fills.join(&asking.key, rule.store()) {
            Joined::Lead(lead) => {
                // Another may have come and gone since the first look.
                let Some(response) = look_again(exchange, rule, asking) else {
                    return Waited::Lead(lead);
                };
                lead.finish(true);
                note(exchange, Outcome::Collapsed);
                return Waited::Answer(response);
            }
            Joined::Follow(reader) => reader,
        };
        let patience = patience.get_or_insert_with(|| {
            let deadline = exchange.connection.worker.timers.deadline();
            deadline.set(exchange.began + rule.lock_timeout);
            deadline
        });
        let news = poll_fn(|cx| match reader.poll_news(shares, cx) {
            Poll::Ready(news) => Poll::Ready(Some(news)),
            Poll::Pending => patience.poll_expired(cx).map(|()| None),
        });
        let response = match news.await {
            Some(News::Abandoned) => continue,
            Some(News::Failed) => {
                failures += 1;
                if let Some(response) = instead(exchange, asking) {
                    note(exchange, Outcome::StaleIfError);
                    return Waited::Answer(response);
                }
                if failures <= FAILURES_MAX {
                    continue;
                }
                None
            }
            Some(News::Head(head)) => shared(exchange, asking, &head, reader),
            Some(News::Stored) => look_again(exchange, rule, asking),
            Some(News::Alone) | None => None,
        };
        let Some(response) = response else { return Waited::Alone };
        note(exchange, Outcome::Collapsed);
        return Waited::Answer(response);
    }
}

/// Notes that another one asked.
const fn note(exchange: &mut Exchange, outcome: Outcome) {
    if let Some(seen) = &mut exchange.cache {
        seen.outcome = outcome;
        seen.status.collapsed = true;
        if matches!(outcome, Outcome::StaleIfError) {
            seen.status.detail = Some("stale-if-error");
        }
    }
}

/// What is stored, though it is stale, where the upstream has just failed somebody else.
fn instead(exchange: &Exchange, asking: &Asking) -> Option<Response<Body>> {
    let Question::Holds { stored, .. } = &asking.question else { return None };
    let worker = &exchange.connection.worker;
    let (request, now) = (asking.request(), time(worker, clock::now()));
    if !decide::may_serve_on_error(&request, stored, now) {
        return None;
    }
    let nonce = worker.rng.borrow_mut().u128(..);
    Some(answer::response(serve::answer(&request, stored, now, nonce)))
}

/// The answer that another one is getting, if it is one to this request as well.
fn shared(
    exchange: &Exchange,
    asking: &Asking,
    head: &Head,
    reader: Reader,
) -> Option<Response<Body>> {
    let request = asking.request();
    let authorized = request.headers.contains_key(AUTHORIZATION);
    let now = time(&exchange.connection.worker, clock::now());
    // What is never fresh may be kept to be asked about, which is each client's own question: it
    // could be about one user (RFC 9111 section 4).
    if !head.selection().matches(request.headers)
        || (authorized && !head.is_shared())
        || head.freshness().always_validates()
        || !head.freshness().is_fresh(now)
    {
        return None;
    }
    let body = Body::follow(Follow::new(reader, length(head.headers())));
    Some(answer::streamed(head, now, body))
}

/// The answer that another one has put into the store, if it is one to this request as well.
fn look_again(exchange: &Exchange, rule: &Rule, asking: &Asking) -> Option<Response<Body>> {
    let worker = &exchange.connection.worker;
    let (request, now) = (asking.request(), time(worker, clock::now()));
    let answer = rule.store().read(asking.key.as_bytes(), now, |entry| {
        match decide::decide(&request, Some(entry), now, &rule.policy) {
            Decision::Hit(stored) => {
                let nonce = worker.rng.borrow_mut().u128(..);
                Some(serve::answer(&request, stored, now, nonce))
            }
            _ => None,
        }
    });
    answer.flatten().map(answer::response)
}

/// The length that a response declares.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
