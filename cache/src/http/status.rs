//! `Cache-Status` (RFC 9211): what the cache did with a request, told to whoever asks.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::{admission::NoStore, decide::Decision};
use crate::time::Time;

/// The field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went on to the origin (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The cache was told not to look.
    Bypass,
    /// The method is not one that it answers.
    Method,
    /// Nothing is stored under the URL.
    UriMiss,
    /// What is stored is for other requests.
    VaryMiss,
    /// What is stored is fresh, but the request wants it fresher.
    Request,
    /// What is stored is stale.
    Stale,
}

impl Forward {
    /// The token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Answered without the origin.
    pub hit: bool,
    /// Why it went on, if it did.
    pub forward: Option<Forward>,
    /// The origin's status, if it differs from the one sent: 304 after a validation, say.
    pub forward_status: Option<u16>,
    /// Seconds until the response is stale; negative since it is.
    pub ttl: Option<i64>,
    /// Whether the origin's answer was stored.
    pub stored: bool,
    /// Whether this request waited for another's answer.
    pub collapsed: bool,
    /// Why something was not done.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// What follows from a decision alone.
    pub fn of(decision: &Decision<'_>, now: Time) -> Self {
        let ttl = |stored: &super::stored::Stored| {
            let freshness = stored.head().freshness();
            let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
            seconds(freshness.remaining(now)) - seconds(freshness.staleness(now))
        };
        let forwarded = |forward| Self { forward: Some(forward), ..Self::default() };
        match decision {
            Decision::Hit(stored) => Self { hit: true, ttl: Some(ttl(stored)), ..Self::default() },
            Decision::Stale(stored, why) => Self {
                hit: true,
                ttl: Some(ttl(stored)),
                detail: Some(why.as_str()),
                ..Self::default()
            },
            Decision::Revalidate(_, forward) | Decision::Miss(forward) => forwarded(*forward),
            Decision::Pass => Self { detail: Some("hit-for-miss"), ..forwarded(Forward::UriMiss) },
            Decision::Bypass(why) => {
                Self { detail: Some(why.as_str()), ..forwarded(why.forward()) }
            }
            Decision::Unavailable => Self { detail: Some("only-if-cached"), ..Self::default() },
        }
    }

    /// With the reason why the answer was not stored.
    #[must_use]
    pub const fn not_stored(self, why: NoStore) -> Self {
        Self { detail: Some(why.as_str()), ..self }
    }

    /// The value of the field, by a cache that calls itself `name`, a token.
    pub fn to_value(self, name: &str) -> Option<HeaderValue> {
        let mut text = Vec::with_capacity(64);
        let mut push = |part: &str| text.extend_from_slice(part.as_bytes());
        push(name);
        if self.hit {
            push("; hit");
        }
        if let Some(forward) = self.forward {
            push("; fwd=");
            push(forward.as_str());
        }
        if let Some(status) = self.forward_status {
            push("; fwd-status=");
            push(itoa::Buffer::new().format(status));
        }
        if let Some(ttl) = self.ttl {
            push("; ttl=");
            push(itoa::Buffer::new().format(ttl));
        }
        for (is, word) in [(self.stored, "; stored"), (self.collapsed, "; collapsed")] {
            if is {
                push(word);
            }
        }
        if let Some(detail) = self.detail {
            push("; detail=");
            push(detail);
        }
        HeaderValue::from_bytes(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_there_is() {
        let text =
            |status: CacheStatus| status.to_value("weir").unwrap().to_str().unwrap().to_owned();
        let hit = CacheStatus { hit: true, ttl: Some(-5), ..CacheStatus::default() };
        assert_eq!(text(hit), "weir; hit; ttl=-5");
        let forwarded = CacheStatus {
            forward: Some(Forward::Stale),
            forward_status: Some(304),
            stored: true,
            collapsed: true,
            ..CacheStatus::default()
        };
        assert_eq!(text(forwarded), "weir; fwd=stale; fwd-status=304; stored; collapsed");
        let refused = CacheStatus::of(&Decision::Miss(Forward::UriMiss), Time::ZERO);
        let refused = refused.not_stored(NoStore::SetCookie);
        assert_eq!(text(refused), "weir; fwd=uri-miss; detail=set-cookie");
        assert_eq!(
            text(CacheStatus::of(&Decision::Unavailable, Time::ZERO)),
            "weir; detail=only-if-cached"
        );
    }
}
