//! One upgrade, in the words of each version: Upgrade and 101 in HTTP/1.1 (RFC 9110, 7.8; RFC 6455
//! for WebSocket), extended CONNECT and 2xx in HTTP/2 and HTTP/3 (RFC 8441, RFC 9220).

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use h2::ext::Protocol;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request, response};

use super::is_word;
use crate::{base64, error::Error};

/// What a client wants its connection, or its stream, to become.
#[derive(Debug, Clone)]
pub struct Upgrade {
    protocol: HeaderValue,
    /// Sec-WebSocket-Key for an endpoint that speaks HTTP/1.1.
    key: Option<HeaderValue>,
    /// The client asked by extended CONNECT.
    bridged: bool,
}

impl Upgrade {
    /// What an HTTP/1.1 client asked for, by Upgrade.
    pub fn of_connection(protocol: HeaderValue, headers: &HeaderMap) -> Self {
        let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
        let key = keys.next().filter(|_| keys.next().is_none()).cloned();
        Self { protocol, key, bridged: false }
    }

    /// What a client of HTTP/2 or HTTP/3 asked for, by extended CONNECT. Such clients have no
    /// Sec-WebSocket-Key (RFC 8441, 5): a fresh one is drawn.
    pub fn of_stream(protocol: HeaderValue, rng: &mut fastrand::Rng) -> Self {
        let key = base64::encode(&rng.u128(..).to_ne_bytes());
        Self { protocol, key: HeaderValue::try_from(key).ok(), bridged: true }
    }

    /// Whether it has a form in HTTP/2: WebSocket has.
    pub fn is_websocket(&self) -> bool {
        self.protocol == "websocket"
    }

    /// Asks for it in HTTP/1.1.
    pub(super) fn ask(&self, parts: &mut request::Parts) {
        if parts.extensions.remove::<Protocol>().is_some() {
            parts.method = Method::GET;
        }
        let headers = &mut parts.headers;
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, self.protocol.clone());
        if let (Some(key), true) = (&self.key, self.is_websocket()) {
            headers.insert(header::SEC_WEBSOCKET_KEY, key.clone());
        }
    }

    /// Asks for it in HTTP/2 or HTTP/3, if it has a form there; else the request is an ordinary one
    /// (RFC 9110, 7.8 lets a server ignore Upgrade).
    pub(super) fn connect(&self, parts: &mut request::Parts) {
        if self.is_websocket() {
            parts.method = Method::CONNECT;
            parts.extensions.insert(Protocol::from_static("websocket"));
            parts.headers.remove(header::SEC_WEBSOCKET_KEY);
        }
    }

    /// Whether the endpoint has switched.
    ///
    /// # Errors
    /// [`Error::UpgradeFailed`]: to something else, or it agreed without switching, which would be
    /// a success in the eyes of a client that sent extended CONNECT.
    pub(super) fn is_granted(&self, parts: &response::Parts) -> Result<bool, Error> {
        let (status, headers) = (parts.status, &parts.headers);
        if parts.version >= Version::HTTP_2 && self.is_websocket() {
            return Ok(status.is_success());
        }
        let granted = status == StatusCode::SWITCHING_PROTOCOLS;
        let wrong = granted && !(self.is_echoed(headers) && self.is_accepted(headers));
        if wrong || (self.bridged && status.is_success()) {
            return Err(Error::UpgradeFailed);
        }
        Ok(granted)
    }

    fn is_echoed(&self, headers: &HeaderMap) -> bool {
        let holds = |name, token: &[u8]| {
            headers.get_all(name).iter().any(|value| {
                value.as_bytes().split(|b| *b == b',').any(|item| is_word(item, token))
            })
        };
        holds(header::CONNECTION, b"upgrade") && holds(header::UPGRADE, self.protocol.as_bytes())
    }

    /// Whether Sec-WebSocket-Accept is right (RFC 6455, 4.1), where no client is there to look.
    fn is_accepted(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
        !self.bridged
            || self
                .key
                .as_ref()
                .is_some_and(|key| values.next() == Some(&accept(key)) && values.next().is_none())
    }

    /// Tells the client that the endpoint has switched.
    pub(super) fn grant(&self, parts: &mut response::Parts) {
        let by_connect = parts.version >= Version::HTTP_2;
        let headers = &mut parts.headers;
        if self.bridged {
            parts.status = StatusCode::OK;
            headers.remove(header::SEC_WEBSOCKET_ACCEPT);
            return;
        }
        parts.status = StatusCode::SWITCHING_PROTOCOLS;
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, self.protocol.clone());
        if let (Some(key), true) = (&self.key, by_connect) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept(key));
        }
    }
}

/// The answer to a Sec-WebSocket-Key (RFC 6455, 4.2.2).
fn accept(key: &HeaderValue) -> HeaderValue {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut sha1 = digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key.as_bytes());
    sha1.update(GUID);
    let text = base64::encode(sha1.finish().as_ref());
    // Base64 is a valid value; the fallback never shows.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn upgrade(bridged: bool) -> Upgrade {
        let key = Some(HeaderValue::from_static(KEY));
        Upgrade { protocol: HeaderValue::from_static("websocket"), key, bridged }
    }

    fn answer(version: Version, status: u16, accept: &str) -> response::Parts {
        let mut response = Response::builder().version(version).status(status);
        if status == 101 {
            response = response.header("connection", "Upgrade").header("upgrade", "websocket");
        }
        if !accept.is_empty() {
            response = response.header("sec-websocket-accept", accept);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_speaks_each_version_and_back() {
        let (mut parts, ()) = Request::new(()).into_parts();
        for _ in 0..2 {
            upgrade(true).ask(&mut parts);
            assert_eq!(parts.method, Method::GET);
            assert_eq!(parts.headers["sec-websocket-key"], KEY);
            upgrade(true).connect(&mut parts);
            assert_eq!(parts.method, Method::CONNECT);
            assert!(parts.extensions.get::<Protocol>().is_some());
            assert!(!parts.headers.contains_key("sec-websocket-key"));
        }
    }

    #[test]
    fn other_protocols_are_no_connect() {
        let upgrade = Upgrade::of_connection(HeaderValue::from_static("foo"), &HeaderMap::new());
        let (mut parts, ()) = Request::new(()).into_parts();
        upgrade.connect(&mut parts);
        assert_eq!(parts.method, Method::GET);
        let granted = upgrade.is_granted(&answer(Version::HTTP_2, 200, ""));
        assert_eq!(granted, Ok(false));
    }

    #[test]
    fn every_stream_has_a_key_of_its_own() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut key = || Upgrade::of_stream(HeaderValue::from_static("websocket"), &mut rng).key;
        let (first, second) = (key().unwrap(), key().unwrap());
        assert_eq!((first.len(), second.len()), (24, 24));
        assert_ne!(first, second);
    }

    #[test]
    fn grants_are_judged_for_clients_that_cannot() {
        use Version as V;
        let failed = Err(Error::UpgradeFailed);
        for (bridged, version, status, accept, expected) in [
            (true, V::HTTP_11, 101, ACCEPT, Ok(true)),
            (true, V::HTTP_11, 101, "", failed),
            (true, V::HTTP_11, 101, KEY, failed),
            (true, V::HTTP_11, 200, ACCEPT, failed),
            (true, V::HTTP_11, 204, "", failed),
            (true, V::HTTP_11, 302, "", Ok(false)),
            (true, V::HTTP_11, 403, "", Ok(false)),
            (true, V::HTTP_2, 200, "", Ok(true)),
            (true, V::HTTP_2, 403, "", Ok(false)),
            (false, V::HTTP_11, 101, "", Ok(true)),
            (false, V::HTTP_11, 200, "", Ok(false)),
            (false, V::HTTP_2, 200, "", Ok(true)),
        ] {
            let granted = upgrade(bridged).is_granted(&answer(version, status, accept));
            assert_eq!(granted, expected, "{bridged} {version:?} {status} {accept}");
        }
    }

    #[test]
    fn a_grant_takes_the_form_of_the_clients_version() {
        let mut parts = answer(Version::HTTP_11, 101, ACCEPT);
        upgrade(true).grant(&mut parts);
        assert_eq!(parts.status, 200);
        assert!(!parts.headers.contains_key("sec-websocket-accept"));
        let mut parts = answer(Version::HTTP_2, 200, "");
        upgrade(false).grant(&mut parts);
        assert_eq!(parts.status, 101);
        assert_eq!(parts.headers["sec-websocket-accept"], ACCEPT);
        assert_eq!(parts.headers["upgrade"], "websocket");
    }

    #[test]
    fn answers_the_key_as_the_rfc_does() {
        assert_eq!(accept(&HeaderValue::from_static(KEY)), ACCEPT);
    }
}
