//! What is kept of an outcome: enough to say it again, byte for byte.
//!
//! Fields are kept by a list of those that are about the outcome. What is about one exchange or one
//! connection is not: cookies, dates, ages, rate limits, identities of requests.
//!
//! As bytes, for stores outside of this process: a version, then parts with their lengths before
//! them, integers with the larger end first.
//!
//! ```text
//! u8 version = 1 | u16 status | u8 0 for a body, else why there is none
//! u16 fields, for each: u16 length, name, u32 length, value | u32 length, body
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING,
        CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        ETAG, EXPIRES, LAST_MODIFIED, LINK, LOCATION, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

/// Fields that are kept.
pub const KEPT: [HeaderName; 28] = [
    HeaderName::from_static("accept-patch"),
    ACCEPT_RANGES,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ALLOW,
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    ETAG,
    EXPIRES,
    LAST_MODIFIED,
    LINK,
    LOCATION,
    REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY,
    VARY,
    X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("timing-allow-origin"),
];

/// Lines of fields that are kept at the most.
const FIELDS_MAX: usize = 64;
/// Bytes of their names and values at the most.
const FIELD_BYTES_MAX: usize = 64 << 10;
/// The longest body that a recording holds, whatever a route says.
pub const BODY_MAX: usize = 64 << 20;
/// No recording is longer than this as bytes.
pub const ENCODED_MAX: usize = BODY_MAX + FIELD_BYTES_MAX + FIELDS_MAX * 6 + 16;
const VERSION: u8 = 1;
/// What a recording costs in memory besides its texts.
const OVERHEAD: usize = 256;

/// An outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    status: StatusCode,
    headers: HeaderMap,
    body: Outcome,
}

/// The body of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Whole(Bytes),
    /// It was not kept: the outcome is known, and cannot be said again.
    Gone(Gone),
}

/// Why a body was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// It, or its fields, were larger than what is kept.
    TooLarge,
    /// It was a stream without an end in sight, or the connection became something else.
    Streamed,
    /// Something followed it that cannot be kept.
    Trailers,
    /// The store had no room for it.
    NoRoom,
}

/// Bytes that are no recording, or one of a version that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what the store has for the key is no recording that is known here")]
pub struct NotARecording;

impl Gone {
    const ALL: [Self; 4] = [Self::TooLarge, Self::Streamed, Self::Trailers, Self::NoRoom];

    /// Its name, for logs and problem texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Streamed => "streamed",
            Self::Trailers => "trailers",
            Self::NoRoom => "no_room",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::TooLarge => 1,
            Self::Streamed => 2,
            Self::Trailers => 3,
            Self::NoRoom => 4,
        }
    }
}

impl Recording {
    /// An outcome that can be said again. Of `headers` those in [`KEPT`] are taken; what is larger
    /// than any store takes becomes a tombstone. `body` should own its memory, not be a part of
    /// more: it stays as long as the key.
    pub fn whole(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let (mut kept, mut bytes) = (HeaderMap::new(), 0);
        for (name, value) in headers.iter().filter(|(name, _)| KEPT.contains(name)) {
            bytes += name.as_str().len() + value.len();
            // A copy: the value may be a part of all that was read from the connection.
            let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { continue };
            kept.append(name.clone(), value);
        }
        if kept.len() > FIELDS_MAX || bytes > FIELD_BYTES_MAX || body.len() > BODY_MAX {
            return Self::gone(status, Gone::TooLarge);
        }
        Self { status, headers: kept, body: Outcome::Whole(body) }
    }

    /// A tombstone: that it ran, and its status.
    pub fn gone(status: StatusCode, why: Gone) -> Self {
        Self { status, headers: HeaderMap::new(), body: Outcome::Gone(why) }
    }

    /// The response's status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Those of its fields that are kept.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body.
    pub const fn body(&self) -> &Outcome {
        &self.body
    }

    /// What it costs in memory, in bytes, more or less.
    pub fn weight(&self) -> u64 {
        let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        // What a line of a header map takes besides its texts.
        let fields: usize = self.headers.iter().map(|field| line(field) + 112).sum();
        let body = match &self.body {
            Outcome::Whole(body) => body.len(),
            Outcome::Gone(_) => 0,
        };
        (OVERHEAD + fields + body) as u64
    }

    /// As bytes, for stores outside of this process.
    pub fn encode(&self) -> Bytes {
        let (why, body) = match &self.body {
            Outcome::Whole(body) => (0, body.clone()),
            Outcome::Gone(why) => (why.code(), Bytes::new()),
        };
        let mut bytes = BytesMut::with_capacity(self.weight() as usize);
        bytes.put_u8(VERSION);
        bytes.put_u16(self.status.as_u16());
        bytes.put_u8(why);
        // Every length below is bounded where a recording is made.
        bytes.put_u16(self.headers.len() as u16);
        for (name, value) in &self.headers {
            bytes.put_u16(name.as_str().len() as u16);
            bytes.put_slice(name.as_str().as_bytes());
            bytes.put_u32(value.len() as u32);
            bytes.put_slice(value.as_bytes());
        }
        bytes.put_u32(body.len() as u32);
        bytes.put_slice(&body);
        bytes.freeze()
    }

    /// What [`Recording::encode`] made; the body is a part of `bytes`.
    ///
    /// # Errors
    /// Bytes that it did not make, whatever they are.
    pub fn decode(bytes: &Bytes) -> Result<Self, NotARecording> {
        decode(bytes.clone()).ok_or(NotARecording)
    }

    /// Status, and whether there is a body to say again, from the first four bytes.
    pub(super) fn peek(head: &[u8]) -> Option<(StatusCode, bool)> {
        let [VERSION, high, low, why] = head else { return None };
        let status = StatusCode::from_u16(u16::from_be_bytes([*high, *low])).ok()?;
        Some((status, *why == 0))
    }
}

fn decode(mut bytes: Bytes) -> Option<Recording> {
    if bytes.len() > ENCODED_MAX || bytes.try_get_u8().ok()? != VERSION {
        return None;
    }
    // What is interim is no outcome, and cannot be said as if it were one.
    let status = StatusCode::from_u16(bytes.try_get_u16().ok()?).ok()?;
    let status = Some(status).filter(|status| !status.is_informational())?;
    let why = match bytes.try_get_u8().ok()? {
        0 => None,
        code => Some(Gone::ALL.into_iter().find(|why| why.code() == code)?),
    };
    let fields = usize::from(bytes.try_get_u16().ok()?);
    if fields > FIELDS_MAX {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(fields);
    for _ in 0..fields {
        let length = bytes.try_get_u16().ok()?;
        let name = HeaderName::from_bytes(&part(&mut bytes, u32::from(length))?).ok()?;
        let length = bytes.try_get_u32().ok()?;
        // Not a part of `bytes`: a replay would hold on to all of them for the sake of it.
        let value = HeaderValue::from_bytes(&part(&mut bytes, length)?).ok()?;
        if !KEPT.contains(&name) {
            return None;
        }
        headers.append(name, value);
    }
    let length = bytes.try_get_u32().ok()?;
    let body = part(&mut bytes, length)?;
    if !bytes.is_empty() || (why.is_some() && !body.is_empty()) {
        return None;
    }
    let body = why.map_or(Outcome::Whole(body), Outcome::Gone);
    Some(Recording { status, headers, body })
}

fn part(bytes: &mut Bytes, length: u32) -> Option<Bytes> {
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len())?;
    Some(bytes.split_to(length))
}

#[cfg(test)]
mod tests;
