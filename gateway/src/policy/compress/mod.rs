//! Coding of responses: `compress`.
//!
//! It stands behind the cache, which holds what the origin said. What is coded is chosen by the
//! request ([`accept`]) and the response ([`rule`]); the body passes an [`encoder`] on its way.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, header, request};
use weir_config::model::Encoding;

use super::{sticky, vary::vary};
use crate::http::body::Body;

pub mod accept;
mod body;
pub mod encoder;
mod pool;
pub mod rule;

use body::Coded;
use encoder::Then;
use pool::Lease;
use rule::Verdict;
pub(crate) use rule::{Rule, Wish, strengthen};

/// How many bytes there were of a body before it was coded.
pub(crate) type Plain = Rc<Cell<u64>>;

/// Bodies that are there as a whole are coded at once up to this length: their clients are told
/// the length of what comes.
const AT_ONCE: usize = 32 << 10;

impl Rule {
    /// What a request says of it.
    pub(crate) fn wish(&self, head: &request::Parts) -> Wish {
        let headers = &head.headers;
        // A tunnel has no body to be coded.
        let tunnel = head.method == Method::CONNECT;
        let accepted = if tunnel || accept::forbids_change(headers) {
            accept::Accepted::default()
        } else {
            accept::accepted(headers, &self.offered)
        };
        let secret = headers.contains_key(header::AUTHORIZATION) || self.has_secret(headers);
        Wish { accepted, secret, bare: head.method == Method::HEAD }
    }

    /// Whether there is a cookie beside the one that the gateway itself gives to clients: that one
    /// tells which upstream a client stays with, and nothing of the client.
    fn has_secret(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::COOKIE).iter();
        let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        pairs.any(|pair| {
            let pair = pair.trim_ascii();
            let value = self
                .own_cookie
                .as_ref()
                .and_then(|name| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            !pair.is_empty() && !value.is_some_and(sticky::is_own)
        })
    }

    /// Codes a response, where that is right. Says by what.
    pub(crate) fn apply(
        &self,
        wish: &Wish,
        response: Response<Body>,
    ) -> (Response<Body>, Option<(Encoding, Plain)>) {
        let (mut head, body) = response.into_parts();
        let length = length(&head.headers, &body, wish.bare);
        let coding = match self.judge(wish, &head, length) {
            Verdict::Leave => None,
            Verdict::Vary => {
                vary(&mut head.headers, header::ACCEPT_ENCODING);
                None
            }
            Verdict::Weaken => {
                rule::weaken(&mut head.headers);
                vary(&mut head.headers, header::ACCEPT_ENCODING);
                None
            }
            Verdict::Code(coding) => Some(coding),
        };
        let Some(coding) = coding else { return (Response::from_parts(head, body), None) };
        if wish.bare {
            rule::mark(&mut head.headers, coding);
            return (Response::from_parts(head, body.unheard()), None);
        }
        let plain = Plain::default();
        let (body, done) = match body.whole().filter(|whole| whole.len() <= AT_ONCE) {
            Some(whole) => match self.code_whole(coding, whole) {
                Some(out) => {
                    plain.set(whole.len() as u64);
                    (Body::full(out), true)
                }
                None => (body, false),
            },
            None => match Lease::take(coding, self.levels, length) {
                Ok(lease) => (Body::follow(Coded::new(body, lease, plain.clone())), true),
                Err(_) => (body, false),
            },
        };
        if !done {
            vary(&mut head.headers, header::ACCEPT_ENCODING);
            return (Response::from_parts(head, body), None);
        }
        rule::mark(&mut head.headers, coding);
        if let Some(whole) = body.whole() {
            head.headers.insert(header::CONTENT_LENGTH, whole.len().into());
        }
        (Response::from_parts(head, body), Some((coding, plain)))
    }

    /// A body coded at once; `None` where that would not make it shorter.
    fn code_whole(&self, coding: Encoding, whole: &Bytes) -> Option<Bytes> {
        let mut lease = Lease::take(coding, self.levels, Some(whole.len() as u64)).ok()?;
        let mut out = Vec::with_capacity(whole.len() / 2);
        lease.encoder().ok()?.push(whole, Then::Finish, &mut out).ok()?;
        (out.len() < whole.len()).then(|| out.into())
    }
}

/// The length of a body, where it is known.
fn length(headers: &HeaderMap, body: &Body, bare: bool) -> Option<u64> {
    if !bare {
        return http_body::Body::size_hint(body).exact();
    }
    let text = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    text.parse().ok()
}
