//! How a gateway dealt with a stream of HTTP/3.

use std::fmt;

use quinn::ConnectionError;

use super::hpack::Fields;

/// A response as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) interim: Vec<u16>,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Fields>,
}

impl Received {
    /// First value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Takes the next field section: an interim head, the final one, or trailers.
    pub(crate) fn section(&mut self, fields: Fields) -> Result<(), String> {
        let status = fields.iter().find(|(n, _)| n == ":status").map(|(_, s)| s.parse());
        match (self.status, status) {
            (0, Some(Ok(status @ 100..200))) => self.interim.push(status),
            (0, Some(Ok(status))) => (self.status, self.fields) = (status, fields),
            (1.., None) if self.trailers.is_none() => self.trailers = Some(fields),
            _ => return Err(format!("misplaced section {fields:?}")),
        }
        Ok(())
    }
}

/// How the gateway dealt with a stream.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole response.
    Response(Received),
    /// `RESET_STREAM` with this code, and what came before.
    Reset(u64, Received),
    /// The connection was closed by HTTP/3 with this code.
    Closed(u64),
    /// The connection ended in another way.
    Lost(String),
    /// What came is no response.
    Garbage(String),
    /// Nothing in time; what came before.
    Silence(Received),
}

impl Outcome {
    /// The status, or 0 when there was no whole response.
    pub(crate) fn status(&self) -> u16 {
        if let Self::Response(r) = self { r.status } else { 0 }
    }

    /// The body of a whole response as text.
    pub(crate) fn text(&self) -> String {
        let Self::Response(r) = self else { return String::new() };
        String::from_utf8_lossy(&r.body).into_owned()
    }

    /// What a connection's end was.
    pub(crate) fn lost(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                Self::Closed(close.error_code.into_inner())
            }
            other => Self::Lost(other.to_string()),
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |r: &Received| {
            let body = String::from_utf8_lossy(&r.body[..r.body.len().min(80)]).into_owned();
            format!("{} ({} bytes) {body:?}", r.status, r.body.len())
        };
        match self {
            Self::Response(r) => write!(f, "response {}", text(r)),
            Self::Reset(code, r) => write!(f, "reset {code:#x} after {}", text(r)),
            Self::Closed(code) => write!(f, "closed {code:#x}"),
            Self::Lost(why) => write!(f, "lost: {why}"),
            Self::Garbage(why) => write!(f, "garbage: {why}"),
            Self::Silence(r) => write!(f, "silence after {}", text(r)),
        }
    }
}
