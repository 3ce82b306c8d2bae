//! What follows from the head of an upstream's response: whether it is stored, and what is known of
//! the run if it is not. A pure function of the head.

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, TRAILER},
};
use weir_config::model::RouteIdempotency;

use super::record::Gone;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The response is stored, if its body turns out to be short enough.
    Store,
    /// It ran, and that is all that is stored.
    Spend(Gone),
    /// The upstream refused it: the next request runs.
    Release,
    /// What it did is unknown.
    Forsake,
}

/// Judges a head.
///
/// A 4xx is the upstream's word that it did not act: where it is not to be stored, the next request
/// may run. No other status says so; nor does 408, which is what it says of a time-out, whosesoever
/// and wherever that was.
pub(super) fn judge(config: &RouteIdempotency, status: StatusCode, headers: &HeaderMap) -> Verdict {
    if !is_storable(config, status) {
        let refused = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        return if refused { Verdict::Release } else { Verdict::Forsake };
    }
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/grpc") {
        return Verdict::Spend(Gone::Streamed);
    }
    if headers.contains_key(TRAILER) {
        return Verdict::Spend(Gone::Trailers);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: Option<u64> = length.and_then(|text| text.parse().ok());
    if length.is_some_and(|length| length > config.max_response.into()) {
        return Verdict::Spend(Gone::TooLarge);
    }
    Verdict::Store
}

/// Whether a response with this status answers later requests as well. These six are about the
/// moment: whoever comes again is to be asked again.
fn is_storable(config: &RouteIdempotency, status: StatusCode) -> bool {
    let momentary = matches!(status.as_u16(), 401 | 403 | 408 | 409 | 425 | 429);
    !momentary && config.statuses.contains(status.as_u16())
}

#[cfg(test)]
mod tests {
    use weir_config::load_str;

    use super::*;

    fn config(keys: &str) -> RouteIdempotency {
        let file = format!(
            "listeners: [\":80\"]\nupstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
             routes: [{{ to: api, idempotency: {{ {keys} }} }}]\n"
        );
        let mut config = load_str("weir.yaml", &file, &|_| None).unwrap().config;
        config.routes.remove(0).idempotency.unwrap()
    }

    fn judged(keys: &str, status: u16, fields: &[(&'static str, &'static str)]) -> Verdict {
        let fields = fields.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        judge(&config(keys), StatusCode::from_u16(status).unwrap(), &fields.collect())
    }

    #[test]
    fn statuses_say_whether_it_ran() {
        for status in [200, 201, 204, 302, 400, 404, 422] {
            assert_eq!(judged("", status, &[]), Verdict::Store, "{status}");
        }
        for status in [401, 403, 409, 425, 429] {
            assert_eq!(judged("", status, &[]), Verdict::Release, "{status}");
            assert_eq!(judged("statuses: [4xx]", status, &[]), Verdict::Release, "{status}");
        }
        assert_eq!(judged("", 408, &[]), Verdict::Forsake, "a time-out is no refusal");
        assert_eq!(judged("statuses: [2xx]", 408, &[]), Verdict::Forsake);
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(judged("", status, &[]), Verdict::Forsake, "{status}");
            assert_eq!(judged("statuses: [5xx]", status, &[]), Verdict::Store, "{status}");
        }
        assert_eq!(judged("statuses: [2xx]", 404, &[]), Verdict::Release);
        assert_eq!(judged("statuses: [2xx]", 303, &[]), Verdict::Forsake, "it may have acted");
    }

    #[test]
    fn what_cannot_be_stored_is_remembered() {
        let spent = |fields: &[_]| judged("max_response: 10B", 200, fields);
        assert_eq!(spent(&[("content-length", "10")]), Verdict::Store);
        assert_eq!(spent(&[("content-length", "11")]), Verdict::Spend(Gone::TooLarge));
        assert_eq!(spent(&[("content-type", "text/event-stream")]), Verdict::Spend(Gone::Streamed));
        let grpc = [("content-type", "application/grpc+proto")];
        assert_eq!(spent(&grpc), Verdict::Spend(Gone::Streamed));
        assert_eq!(spent(&[("trailer", "x-sum")]), Verdict::Spend(Gone::Trailers));
    }
}
