//! Calls of gRPC-Web made calls of gRPC, and back: `grpc_web`.
//!
//! Browsers read no trailers: what gRPC says in them goes into a frame of the body instead, and
//! where they cannot read bytes either, all of it is base64 (gRPC-Web protocol specification).

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};

use crate::{
    error::Error,
    http::{body::Body, reply},
};

mod body;
mod text;

use body::{Answered, Asked};

/// A call, as its client speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Whether its messages come in base64.
    asks_in_text: bool,
    /// Whether its client wants base64 back.
    pub(crate) wants_text: bool,
    /// How messages are written: `+proto` and the like, or nothing.
    suffix: Box<str>,
}

const PREFIX: &[u8] = b"application/grpc-web";
const TEXT: &[u8] = b"-text";

impl Call {
    /// The call that a request is, if it is one.
    pub(crate) fn of(head: &request::Parts) -> Option<Self> {
        if head.method != Method::POST {
            return None;
        }
        let (asks_in_text, suffix) = kind(head.headers.get(header::CONTENT_TYPE)?)?;
        let mut accepts = head.headers.get_all(header::ACCEPT).iter();
        let wishes = |text: bool| {
            move |value: &HeaderValue| {
                let mut items = value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
                items.any(|item| parse(item).is_some_and(|(is_text, _)| is_text == text))
            }
        };
        let wants_text =
            if asks_in_text { !accepts.any(wishes(false)) } else { accepts.any(wishes(true)) };
        Some(Self { asks_in_text, wants_text, suffix: suffix.into() })
    }

    /// Makes it a call of gRPC. Whether its body is of another length now.
    pub(crate) fn enter(&self, headers: &mut HeaderMap, body: &mut Body) -> bool {
        let kind = ["application/grpc", &self.suffix].concat();
        if let Ok(kind) = HeaderValue::try_from(kind) {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        headers.remove("x-grpc-web");
        headers.remove(header::ACCEPT);
        if !self.asks_in_text || http_body::Body::is_end_stream(body) {
            return false;
        }
        headers.remove(header::CONTENT_LENGTH);
        let coded = std::mem::replace(body, Body::empty());
        *body = Body::follow(Asked::new(coded));
        true
    }

    /// Makes the answer one of gRPC-Web; `error` is why the gateway made it itself.
    pub(crate) fn leave(&self, response: Response<Body>, error: Option<Error>) -> Response<Body> {
        let (mut head, mut body) = response.into_parts();
        let is_grpc = reply::is_grpc(&head.headers);
        if let Some(error) = error.filter(|_| !is_grpc) {
            let said = reply::of_grpc_error(error);
            for name in ["grpc-status", "grpc-message"] {
                head.headers.extend(
                    said.headers()
                        .get(name)
                        .map(|value| (header::HeaderName::from_static(name), value.clone())),
                );
            }
            head.status = StatusCode::OK;
            head.headers.remove(header::CONTENT_LENGTH);
            body = Body::empty();
        } else if !is_grpc {
            return Response::from_parts(head, body);
        } else if !http_body::Body::is_end_stream(&body) {
            head.headers.remove(header::CONTENT_LENGTH);
            head.headers.remove(header::TRAILER);
            body = Body::follow(Answered::new(body, self.wants_text));
        }
        let text = if self.wants_text { "-text" } else { "" };
        let kind = ["application/grpc-web", text, &self.suffix].concat();
        if let Ok(kind) = HeaderValue::try_from(kind) {
            head.headers.insert(header::CONTENT_TYPE, kind);
        }
        Response::from_parts(head, body)
    }
}

fn kind(value: &HeaderValue) -> Option<(bool, &str)> {
    parse(value.as_bytes())
}

/// Whether a media type is of gRPC-Web: in base64 or not, and how messages are written.
fn parse(value: &[u8]) -> Option<(bool, &str)> {
    let name = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if name.len() < PREFIX.len() || !name[..PREFIX.len()].eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let rest = &name[PREFIX.len()..];
    let is_text = rest.len() >= TEXT.len() && rest[..TEXT.len()].eq_ignore_ascii_case(TEXT);
    let suffix = if is_text { &rest[TEXT.len()..] } else { rest };
    let good = matches!(suffix, [] | [b'+', _, ..]);
    good.then_some((is_text, std::str::from_utf8(suffix).ok()?))
}

#[cfg(test)]
mod tests;
