//! The heads of HTTP/2 and HTTP/3, which have the same form.

use ::http::{header, response};

use super::{
    HttpError,
    message::{Head, Proto, Reply, Request},
};

/// The head of a request.
///
/// # Errors
/// It has what no head may have.
pub(super) fn head_of(request: &Request) -> Result<::http::Request<()>, HttpError> {
    let invalid = |error: &dyn std::fmt::Display| {
        HttpError::new(HttpError::GENERIC, format!("invalid request: {error}"))
    };
    let host = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let authority = host.map_or(&*request.target.authority, |(_, value)| value);
    let scheme = if request.target.is_tls { "https" } else { "http" };
    let uri = format!("{scheme}://{authority}{}", request.target.path);
    let mut builder = ::http::Request::builder().method(&*request.method).uri(uri);
    for (name, value) in &request.headers {
        let hop = ["host", "connection", "transfer-encoding", "keep-alive", "upgrade"];
        if !hop.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
            builder = builder.header(&**name, &**value);
        }
    }
    if let Some(body) = &request.body {
        builder = builder.header(header::CONTENT_LENGTH, body.len());
    }
    builder.body(()).map_err(|error| invalid(&error))
}

/// What a head says of the response.
pub(super) fn reply_of(parts: &response::Parts, proto: Proto) -> Reply {
    let pairs = parts.headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let mut reply = Reply {
        status: parts.status.as_u16(),
        proto,
        head: Head::Pairs(pairs.collect()),
        ..Reply::default()
    };
    reply.notes.has_cookies = parts.headers.contains_key(header::SET_COOKIE);
    reply.notes.is_encoded = parts.headers.contains_key(header::CONTENT_ENCODING);
    reply
}
