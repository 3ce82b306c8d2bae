//! How old a response is and how long it stays fresh (RFC 9111 section 4.2), and when a stale one
//! may still be served (section 4.2.4, RFC 5861).

use std::time::Duration;

use http::{
    HeaderMap, StatusCode,
    header::{AGE, DATE, EXPIRES, LAST_MODIFIED},
};

use super::{
    date,
    directives::{Delta, ResponseDirectives, Scope},
    policy::Policy,
};
use crate::time::Time;

/// When a response was asked for and when its header section was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// The time of the request (`request_time` of RFC 9111 section 4.2.3).
    pub asked: Time,
    /// The time of the response (`response_time`).
    pub answered: Time,
}

/// The age and the lifetime of a response. All of it is worked out once, when the response comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When it came.
    answered: Time,
    /// How old it was then: `corrected_initial_age`.
    initial_age: Duration,
    lifetime: Duration,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    /// Whether it says itself how long it is fresh.
    is_explicit: bool,
    /// `no-cache`: validation before each use.
    always_validate: bool,
    /// It must not be used stale, whatever a client or a policy allows.
    never_stale: bool,
}

impl Freshness {
    /// Works the times out. `directives` are those of `headers`.
    pub fn of(
        status: StatusCode,
        headers: &HeaderMap,
        directives: &ResponseDirectives,
        exchange: Exchange,
        policy: &Policy,
    ) -> Self {
        let Exchange { asked, answered } = exchange;
        let date = date_of(headers, answered);
        let apparent_age = answered.since(date.unwrap_or(answered));
        let corrected_age = age_of(headers) + answered.since(asked);
        let explicit = explicit_lifetime(headers, directives, date.unwrap_or(answered), answered);
        let by_default =
            || default_lifetime(status, headers, directives.public, date, answered, policy);
        let s_maxage = directives.s_maxage.is_some();
        let always_validate = directives.no_cache == Scope::Whole;
        let never_stale =
            always_validate || directives.must_revalidate || directives.proxy_revalidate;
        // `s-maxage` forbids stale use as well (RFC 9111 section 5.2.2.10), unless the origin
        // grants it by name in the same breath.
        let window = |granted: Option<Delta>, usual: Duration| match granted {
            _ if never_stale => Duration::ZERO,
            Some(granted) => granted.duration(),
            None if s_maxage => Duration::ZERO,
            None => usual,
        };
        Self {
            answered,
            initial_age: apparent_age.max(corrected_age),
            lifetime: explicit.or_else(by_default).unwrap_or_default(),
            stale_while_revalidate: window(
                directives.stale_while_revalidate,
                policy.stale_while_revalidate,
            ),
            stale_if_error: window(directives.stale_if_error, policy.stale_if_error),
            is_explicit: explicit.is_some(),
            always_validate,
            never_stale: never_stale || s_maxage,
        }
    }

    /// How old it is: `current_age` (RFC 9111 section 4.2.3).
    pub fn age(&self, now: Time) -> Duration {
        self.initial_age + now.since(self.answered)
    }

    /// How long it is fresh from its making on.
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether it says itself how long that is.
    pub const fn is_explicit(&self) -> bool {
        self.is_explicit
    }

    /// Whether it must be validated before each use, fresh or not.
    pub const fn always_validates(&self) -> bool {
        self.always_validate
    }

    /// Whether it is fresh (RFC 9111 section 4.2).
    pub fn is_fresh(&self, now: Time) -> bool {
        self.lifetime > self.age(now)
    }

    /// Time until it is stale; zero when it is.
    pub fn remaining(&self, now: Time) -> Duration {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// Time since it became stale; zero when it is fresh.
    pub fn staleness(&self, now: Time) -> Duration {
        self.age(now).saturating_sub(self.lifetime)
    }

    /// Whether it may be served stale while it is fetched anew (RFC 5861 section 3). One that was
    /// purged softly while it was fresh counts as stale from now on.
    pub fn may_serve_while_revalidating(&self, now: Time) -> bool {
        self.staleness(now) < self.stale_while_revalidate
    }

    /// Whether it may be served in the place of an error, fresh or stale (RFC 5861 section 4).
    /// `asked` is what the request allows, on top of what the response and the policy do.
    pub fn may_serve_on_error(&self, asked: Option<Delta>, now: Time) -> bool {
        let staleness = self.staleness(now);
        let asked = asked.filter(|_| !self.never_stale).is_some_and(|d| staleness < d.duration());
        let fresh = self.is_fresh(now) && !self.always_validate;
        fresh || asked || staleness < self.stale_if_error
    }

    /// Whether it may be served stale to a client that says so with `max-stale` (RFC 9111 section
    /// 5.2.1.2).
    pub fn may_serve_stale(&self, allowed: Delta, now: Time) -> bool {
        !self.never_stale && self.staleness(now) <= allowed.duration()
    }

    /// When it will be of no use any more: neither fresh, nor to be served stale, nor, having a
    /// validator, worth asking for.
    pub fn useless_at(&self, has_validator: bool, policy: &Policy) -> Time {
        let keep = if has_validator { policy.keep } else { Duration::ZERO };
        let stale = self.stale_while_revalidate.max(self.stale_if_error).max(keep);
        self.answered + (self.lifetime + stale).saturating_sub(self.initial_age)
    }
}

/// The time in `Date`, if there is one that can be read.
pub(crate) fn date_of(headers: &HeaderMap, now: Time) -> Option<Time> {
    headers.get(DATE).and_then(|value| date::parse(value.as_bytes(), now))
}

/// The first value of the first `Age`; what is no number is ignored (RFC 9111 section 5.1).
fn age_of(headers: &HeaderMap) -> Duration {
    let value = headers.get(AGE).map_or(&b""[..], AsRef::as_ref);
    let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
    Delta::parse(first.trim_ascii()).duration()
}

/// What the response says itself (RFC 9111 section 4.2.1): the first of `s-maxage`, `max-age` and
/// `Expires` that is there, readable or not.
fn explicit_lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    date: Time,
    now: Time,
) -> Option<Duration> {
    if let Some(delta) = directives.s_maxage.or(directives.max_age) {
        return Some(delta.duration());
    }
    if directives.targeted {
        return None;
    }
    let mut lines = headers.get_all(EXPIRES).iter();
    let first = lines.next()?;
    // Two of them contradict each other, and a comma within one is two of them joined.
    let expires = if lines.next().is_none() { date::parse(first.as_bytes(), now) } else { None };
    Some(expires.map_or(Duration::ZERO, |expires| expires.since(date)))
}

/// What a response gets that says nothing (RFC 9111 section 4.2.2). `public` makes any status one
/// that may be guessed about (section 5.2.2.9).
fn default_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    public: bool,
    date: Option<Time>,
    now: Time,
    policy: &Policy,
) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    let usual = is_cacheable_by_default(status);
    if !usual && !public {
        return None;
    }
    let modified = headers.get(LAST_MODIFIED).filter(|_| policy.heuristics);
    let modified = modified.and_then(|value| date::parse(value.as_bytes(), now));
    let tenth = modified.map(|modified| (date.unwrap_or(now).since(modified) / 10).min(DAY));
    // An error that one odd request has brought about must not become everybody's by a setting.
    tenth.or_else(|| policy.ttl.filter(|_| usual && status.as_u16() < 400))
}

/// The statuses that may be cached without being told (RFC 9110 section 15.1), without 206, which
/// is not stored.
pub(crate) const fn is_cacheable_by_default(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

#[cfg(test)]
mod tests;
