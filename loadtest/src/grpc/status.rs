//! How a call ended (gRPC over HTTP/2: status codes).

use http::HeaderMap;

/// Numbers of gRPC's status codes that are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u32);

impl Code {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const CANCELED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);
    pub(crate) const UNAUTHENTICATED: Self = Self(16);
}

/// A code and what was said with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What trailers, or a head without a body, say; `None` when they say nothing.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok()?.trim().parse().ok()?;
        let message = headers.get("grpc-message").map(|text| decode(text.as_bytes()));
        Some(Self { code: Code(code), message: message.unwrap_or_default() })
    }

    /// What a response means that is none of gRPC.
    pub(super) fn of_http(status: http::StatusCode) -> Self {
        let code = match status.as_u16() {
            400 => Code::INTERNAL,
            401 => Code::UNAUTHENTICATED,
            403 => Code::PERMISSION_DENIED,
            404 => Code::UNIMPLEMENTED,
            429 | 502..=504 => Code::UNAVAILABLE,
            _ => Code::UNKNOWN,
        };
        let text = format!("unexpected HTTP status code received from server: {status}");
        Self::new(code, text)
    }

    /// What a broken stream or connection means.
    pub(super) fn of_h2(error: &h2::Error) -> Self {
        let code = match error.reason() {
            _ if error.is_io() || error.is_go_away() => Code::UNAVAILABLE,
            Some(h2::Reason::REFUSED_STREAM) => Code::UNAVAILABLE,
            Some(h2::Reason::CANCEL) => Code::CANCELED,
            Some(h2::Reason::ENHANCE_YOUR_CALM) => Code::RESOURCE_EXHAUSTED,
            Some(h2::Reason::INADEQUATE_SECURITY) => Code::PERMISSION_DENIED,
            Some(_) => Code::INTERNAL,
            None => Code::UNAVAILABLE,
        };
        Self::new(code, format!("transport: {error}"))
    }

    pub(super) fn late() -> Self {
        Self::new(Code::DEADLINE_EXCEEDED, "context deadline exceeded")
    }
}

/// A `grpc-message` without its percent-encoding.
fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped =
            hex.filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_decoded() {
        assert_eq!(decode(b"a%20b%C3%A9%zz%"), "a bé%zz%");
    }
}
