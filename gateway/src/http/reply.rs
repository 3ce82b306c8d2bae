//! Responses that the gateway makes itself.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Response,
    header::{self, HeaderName},
};

use super::{body::Body, headers::name, problem};
use crate::{error::Error, policy::decompress::decoder};

/// What the gateway calls itself in Proxy-Status and Via.
pub(crate) const NAME: &str = "weir";

/// Fields that an answer of the gateway's own has, as a rule: so many are made room for at once.
const FIELDS: usize = 12;

/// The response that stands for an error.
pub(crate) fn of_error(error: Error) -> Response<Body> {
    of_error_saying(error, Bytes::from(error.problem()))
}

/// The same with another body than the line of text.
pub(crate) fn of_error_saying(error: Error, body: Bytes) -> Response<Body> {
    let disposition = error.disposition();
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = disposition.status;
    let headers = response.headers_mut();
    headers.reserve(FIELDS);
    describe(headers, error);
    if disposition.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same with a problem document as its body.
pub(crate) fn of_problem(error: Error, document: Bytes) -> Response<Body> {
    let mut response = of_error_saying(error, document);
    response.headers_mut().insert(header::CONTENT_TYPE, problem::media());
    response
}

/// The same for a gRPC call, whose clients read `grpc-status` and no body: trailers only, with the
/// code that gRPC's own mapping gives the HTTP status.
pub(crate) fn of_grpc_error(error: Error) -> Response<Body> {
    let code = match error.disposition().status.as_u16() {
        // The mapping knows no deadlines, which gRPC has a code for.
        _ if error == Error::DeadlinePassed => "4",
        // Nor quotas, whose clients are not to come again at once.
        _ if error == Error::RateLimited => "8",
        // That the same call may come again, or that it may not, gRPC tells apart.
        _ if error == Error::IdempotencyKeyInFlight => "10",
        409 => "9",
        422 => "3",
        _ if error.disposition().flag == "IK" && error.disposition().status == 400 => "3",
        413 if error == Error::IdempotencyKeyTooLarge => "8",
        400 => "13",
        401 => "16",
        403 => "7",
        404 | 405 => "12",
        // 425 is not in that mapping: the call may come again at once.
        425 | 429 | 502..=504 => "14",
        _ => "2",
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    describe(headers, error);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(code));
    if let Ok(message) = HeaderValue::from_str(&error.to_string()) {
        headers.insert("grpc-message", message);
    }
    response
}

/// Whether these are the fields of a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// What Proxy-Status says of an error.
pub(crate) fn proxy_status(error: Error) -> HeaderValue {
    // What is said most often, and for the cheapest of answers.
    if error == Error::RateLimited {
        return HeaderValue::from_static("weir; error=http_request_denied");
    }
    error.proxy_status_value(NAME)
}

fn describe(headers: &mut HeaderMap, error: Error) {
    let disposition = error.disposition();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(&name::PROXY_STATUS, proxy_status(error));
    if error == Error::UnknownCoding {
        // RFC 9110, section 15.5.16.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(decoder::ACCEPTED));
    }
    if let Some(delay) = disposition.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
}

/// The same as bytes, for a client whose request never became one; the connection closes after it.
pub(crate) fn raw_http1(error: Error, date: &HeaderValue) -> Bytes {
    let status = error.disposition().status;
    let body = error.problem();
    let mut headers = HeaderMap::new();
    describe(&mut headers, error);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::DATE, date.clone());
    let mut bytes = BytesMut::with_capacity(512);
    bytes.put_slice(b"HTTP/1.1 ");
    bytes.put_slice(status.as_str().as_bytes());
    bytes.put_slice(b" ");
    bytes.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    bytes.put_slice(b"\r\n");
    for (name, value) in &headers {
        put_field(&mut bytes, name, value);
    }
    bytes.put_slice(b"\r\n");
    bytes.put_slice(body.as_bytes());
    bytes.freeze()
}

fn put_field(bytes: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    bytes.put_slice(name.as_str().as_bytes());
    bytes.put_slice(b": ");
    bytes.put_slice(value.as_bytes());
    bytes.put_slice(b"\r\n");
}
