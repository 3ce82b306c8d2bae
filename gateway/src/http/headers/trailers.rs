//! Fields after a body.

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// Drops the trailers that nobody may send (RFC 9110, 6.5.1): those that frame, route, authenticate
/// or control what was decided by the head already. Names with `_` go as they do in heads.
pub fn filter_trailers(trailers: &mut HeaderMap) {
    let doomed: SmallVec<[HeaderName; 8]> =
        trailers.keys().filter(|name| is_forbidden(name.as_str())).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
}

fn is_forbidden(name: &str) -> bool {
    super::is_hop_by_hop(name)
        // No token, which the `http` crate takes it for (RFC 9110 section 5.6.2).
        || name.contains('"')
        || matches!(
            name,
            // Framing and content.
            "content-length" | "trailer" | "content-encoding" | "content-type" | "content-range"
            // Routing and who is asking.
            | "host" | "forwarded" | "via" | "max-forwards" | "x-real-ip" | "x-request-id"
            | "x-weir-attempts"
            // Authentication and state.
            | "authorization" | "cookie" | "set-cookie" | "www-authenticate" | "proxy"
            | "proxy-authenticate" | "proxy-authorization" | "proxy-authentication-info"
            | "authentication-info"
            // Conditions and control.
            | "cache-control" | "expect" | "pragma" | "range" | "if-match" | "if-none-match"
            | "if-modified-since" | "if-unmodified-since" | "if-range" | "age" | "date"
            | "expires" | "location" | "retry-after" | "vary" | "warning"
        )
        || name.starts_with("x-forwarded-")
        || name.contains('_')
}
