//! Requests in TLS early data, which anybody may send once more.

use http::{HeaderValue, Method, request};

use crate::{error::Error, http::headers::name};

/// What came before the handshake was done may be a replay: only what changes nothing goes on, and
/// the upstream is told (RFC 8470). Of what a tunnel carries nobody knows what it changes.
pub(super) fn mark_early(head: &mut request::Parts, bridged: bool) -> Result<(), Error> {
    if bridged || !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Err(Error::TooEarly);
    }
    head.headers.insert(&name::EARLY_DATA, HeaderValue::from_static("1"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn early(method: &str, fields: &[&str]) -> Result<Vec<HeaderValue>, Error> {
        let mut request = Request::builder().method(method);
        for value in fields {
            request = request.header(&name::EARLY_DATA, *value);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        mark_early(&mut head, false)?;
        Ok(head.headers.get_all(&name::EARLY_DATA).iter().cloned().collect())
    }

    #[test]
    fn what_changes_something_waits_for_the_handshake() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(early(method, &[]).unwrap(), ["1"], "{method}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE", "get"] {
            assert_eq!(early(method, &[]), Err(Error::TooEarly), "{method}");
        }
        assert_eq!(early("GET", &["1", "0"]).unwrap(), ["1"], "it is said once");
        let (mut head, ()) = Request::new(()).into_parts();
        assert_eq!(mark_early(&mut head, true), Err(Error::TooEarly), "a tunnel");
    }
}
