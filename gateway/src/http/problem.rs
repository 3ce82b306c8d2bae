//! Problem documents (RFC 9457): why a request was turned away, for programs to read.
//!
//! All that the gateway's policies answer has this one shape: limits, idempotency keys, and what
//! [`of`] knows. Who takes no JSON reads a line of text.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};

use super::body::Body;
use crate::error::Error;

/// Begins the types of problems that no registry knows.
const URN: &str = "urn:weir:problem:";

/// What a document says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem<'a> {
    /// Its type: a URI, or the name of one of the gateway's own.
    pub(crate) kind: &'a str,
    pub(crate) title: &'a str,
    pub(crate) status: StatusCode,
    pub(crate) detail: &'a str,
}

impl Problem<'_> {
    /// The document, with members of its type's own.
    pub(crate) fn text(&self, more: Map<String, Value>) -> String {
        let kind = match self.kind.contains(':') {
            true => self.kind.to_owned(),
            false => format!("{URN}{}", self.kind),
        };
        let mut document = more;
        document.insert("type".to_owned(), json!(kind));
        document.insert("title".to_owned(), json!(self.title));
        document.insert("status".to_owned(), json!(self.status.as_u16()));
        document.insert("detail".to_owned(), json!(self.detail));
        format!("{}\n", Value::Object(document))
    }
}

/// The document for an error that a policy of a route makes of a request, and `why` it does, where
/// more is known; `None` for errors of other kinds.
pub(crate) fn of(error: Error, why: Option<&str>) -> Option<Bytes> {
    let is_policys = matches!(
        error,
        Error::Unauthenticated
            | Error::AuthUnavailable
            | Error::Denied
            | Error::BodyTooLarge
            | Error::UnknownCoding
            | Error::Maintenance
    );
    is_policys.then(|| with_status(error, error.disposition().status, why))
}

/// The same, of any error, under a status that the configuration names.
pub(crate) fn with_status(error: Error, status: StatusCode, why: Option<&str>) -> Bytes {
    let kind = error.name().replace('_', "-");
    let detail = match why {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    };
    let title = status.canonical_reason().unwrap_or("Error");
    Problem { kind: &kind, title, status, detail: &detail }.text(Map::new()).into()
}

/// Makes a document the body of a response.
pub(crate) fn put(response: &mut Response<Body>, document: Bytes) {
    response.headers_mut().insert(CONTENT_TYPE, media());
    *response.body_mut() = Body::full(document);
}

/// The media type of documents.
pub(crate) fn media() -> HeaderValue {
    HeaderValue::from_static("application/problem+json")
}

/// Whether a client takes a document: it says nothing of what it takes, or names that, or JSON, or
/// a range that both are in, and not only to refuse it.
pub(crate) fn is_taken(headers: &HeaderMap) -> bool {
    let mut said = false;
    for value in headers.get_all(ACCEPT) {
        for range in value.as_bytes().split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let media = parts.next().unwrap_or_default();
            said |= !media.is_empty();
            let wanted = ["application/problem+json", "application/json", "application/*", "*/*"];
            let refused = parts.any(|parameter| {
                let weight =
                    parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
                weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
            });
            if !refused && wanted.iter().any(|other| media.eq_ignore_ascii_case(other.as_bytes())) {
                return true;
            }
        }
    }
    !said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_document() {
        let table: [(&[&'static str], bool); 9] = [
            (&[], true),
            (&["*/*"], true),
            (&["text/html, application/xhtml+xml, */*;q=0.8"], true),
            (&["Application/JSON"], true),
            (&["application/problem+json;q=0.1"], true),
            (&["text/plain"], false),
            (&["text/html", "image/*"], false),
            (&["application/json;q=0, text/plain"], false),
            (&["application/json; q=0.000"], false),
        ];
        for (values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(is_taken(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn policies_say_why() {
        let text = of(Error::Unauthenticated, Some("the token has expired")).unwrap();
        let document: Value = serde_json::from_slice(&text).unwrap();
        let expected = json!({
            "type": "urn:weir:problem:unauthenticated",
            "title": "Unauthorized",
            "status": 401,
            "detail": "this needs a good credential: the token has expired",
        });
        assert_eq!(document, expected);
        assert_eq!(of(Error::NoRoute, None), None, "that is no policy's doing");
    }
}
