//! `QUERY`, whose content is part of the key: what is stored can be looked for once that is here.

use std::{future::poll_fn, pin::Pin, task::Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response, header::CONTENT_LENGTH};
use http_body::{Body as _, Frame};
use weir_cache::{
    entry::Key,
    http::{
        decide::{self, BypassReason, Decision},
        key::{self, KEY_MAX, Target},
    },
};

use super::{
    Asking, Exchange, Question, Rule,
    look::{Plan, plan, write_vouched},
    time,
};
use crate::{
    clock::Tick,
    error::{Error, Reason},
    http::{body::Body, upload::Upload},
    snapshot::Route,
    upstream::draft::Draft,
};

/// Whether a request is one whose content is read before the look: it says how long that is, and
/// there is room in a key for it.
pub(super) fn is_keyed(method: &Method, headers: &HeaderMap) -> bool {
    let length = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    method.as_str() == "QUERY" && length().is_some_and(|length: usize| length <= KEY_MAX)
}

/// Reads the content of a `QUERY` and looks for the answer. If there is none, `asking` says what to
/// ask, and `draft` has the content again.
pub(super) async fn look(
    exchange: &mut Exchange,
    route: &Route,
    rule: &Rule,
    asking: &mut Asking,
    draft: &mut Draft,
) -> Result<Option<Response<Body>>, Error> {
    let content = read(exchange, route, &mut draft.upload).await?;
    draft.upload = Upload::whole(Body::full(content.clone()));
    if let Some(policy) = &route.retry {
        draft.upload.keep(policy.buffer);
    }
    let upstream = exchange.upstream.ok_or(Error::Bug)?;
    let mut key = Vec::with_capacity(256 + content.len());
    let target = Target { scope: rule.scope(upstream), ..asking.target.target() };
    let keyed = target.write_key(&mut key);
    write_vouched(&asking.headers, &asking.target.authority, &mut key);
    super::key::write(&rule.key, &asking.headers, &mut key);
    let keyed = keyed && key::append_query(&asking.headers, &content, &mut key);
    let worker = &exchange.connection.worker;
    let (request, now) = (asking.request(), time(worker, crate::clock::now()));
    let found = keyed.then(|| {
        rule.store().read(&key, now, |entry| {
            let decision = decide::decide(&request, Some(entry), now, &rule.policy);
            plan(exchange, &request, decision, now)
        })
    });
    let (plan, seen) = found.flatten().unwrap_or_else(|| {
        let nothing = match keyed {
            true => decide::decide(&request, None, now, &rule.policy),
            false => Decision::Bypass(BypassReason::Key),
        };
        plan(exchange, &request, nothing, now)
    });
    exchange.cache = Some(seen);
    asking.key = Key::from(&key[..]);
    asking.question = match plan {
        Plan::Answer(response) => return Ok(Some(response)),
        Plan::Ask(question) => question,
        // What would be asked beside is asked now: the content is here.
        Plan::Refresh(_, stored) => Question::Holds { stored, alone: false },
    };
    Ok(None)
}

/// Reads all of an upload that fits into a key, in the time that the request has.
async fn read(exchange: &Exchange, route: &Route, upload: &mut Upload) -> Result<Bytes, Error> {
    let total = route.timeout.total.map_or(Tick::NEVER, |total| exchange.began + total);
    let deadline = exchange.connection.worker.timers.deadline();
    deadline.set(total.min(exchange.deadline));
    let mut content = BytesMut::new();
    while !upload.is_end_stream() {
        let frame = poll_fn(|cx| match Pin::new(&mut *upload).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => deadline.poll_expired(cx).map(|()| Err(Error::DeadlinePassed)),
        });
        let Some(frame) = frame.await? else { break };
        let Ok(piece) = frame.map(Frame::into_data)? else { continue };
        if content.len() + piece.len() > KEY_MAX {
            // It is longer than it said.
            return Err(Error::BadRequest(Reason::Body));
        }
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}
