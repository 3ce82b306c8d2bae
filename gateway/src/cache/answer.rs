//! From what is stored to a response.

use http::Response;
use weir_cache::{
    http::{serve::Answer, stored::Head},
    time::Time,
};

use crate::http::body::Body;

/// A response from memory, its head still to be made the gateway's own.
pub(super) fn response(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// The head of a response whose body is still on its way in.
pub(super) fn streamed(head: &Head, now: Time, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status();
    let headers = response.headers_mut();
    headers.clone_from(head.headers());
    headers.insert(http::header::AGE, head.freshness().age(now).as_secs().into());
    response
}
