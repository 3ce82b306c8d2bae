//! What to do with a request (RFC 9111 section 4).

use std::sync::Arc;

use http::Method;

use super::{
    named::Named,
    page::Page,
    policy::Policy,
    status::Forward,
    stored::{Request, Stored},
};
use crate::{entry::Entry, time::Time};

/// What to do with a request.
#[derive(Debug, Clone, Copy)]
pub enum Decision<'a> {
    /// Answer with this; the origin is not asked.
    Hit(&'a Arc<Stored>),
    /// Answer with this though it is stale.
    Stale(&'a Arc<Stored>, StaleReason),
    /// Ask the origin whether this still holds, or for the whole if it has no validator. If the
    /// origin fails, [`may_serve_on_error`] tells whether it may be used.
    Revalidate(&'a Arc<Stored>, Forward),
    /// Ask the origin, store what can be stored; one request for all who want the same.
    Miss(Forward),
    /// Ask the origin, and do not wait for others: the last answer could not be stored. Should this
    /// one, store it.
    Pass,
    /// Ask the origin and leave the cache out of it.
    Bypass(BypassReason),
    /// Answer 504: the client wants nothing but what is stored (RFC 9111 section 5.2.1.7).
    Unavailable,
}

/// Why a stale response is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleReason {
    /// It is to be fetched anew meanwhile (RFC 5861 section 3).
    WhileRevalidating,
    /// The client allows it with `max-stale` (RFC 9111 section 5.2.1.2).
    Allowed,
}

impl StaleReason {
    /// A word for logs and for the detail of `Cache-Status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WhileRevalidating => "stale-while-revalidate",
            Self::Allowed => "max-stale",
        }
    }
}

/// Why the cache is left out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BypassReason {
    /// The method is neither `GET`, `HEAD` nor `QUERY`.
    Method,
    /// `If-Match` and `If-Unmodified-Since` are for the origin (RFC 9111 section 4.3.2).
    Condition,
    /// The client wants another protocol.
    Upgrade,
    /// It has no key: the URL or the content of a `QUERY` is too long.
    Key,
    /// It has content, which is no part of the key.
    Content,
}

impl BypassReason {
    /// A word for logs and for the detail of `Cache-Status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Condition => "condition",
            Self::Upgrade => "upgrade",
            Self::Key => "key",
            Self::Content => "content",
        }
    }

    /// As `Cache-Status` has it.
    pub const fn forward(self) -> Forward {
        match self {
            Self::Method => Forward::Method,
            Self::Condition | Self::Upgrade | Self::Key | Self::Content => Forward::Bypass,
        }
    }
}

/// Whether to leave the cache out of it, which can be told before there is a key.
pub fn bypass(request: &Request<'_>) -> Option<BypassReason> {
    let method = request.method;
    if *method != Method::GET && *method != Method::HEAD && method.as_str() != "QUERY" {
        return Some(BypassReason::Method);
    }
    if request.has(Named::FOR_ORIGIN) {
        return Some(BypassReason::Condition);
    }
    request.has(Named::UPGRADE).then_some(BypassReason::Upgrade)
}

/// Decides on a request that [`bypass`] has let through; `entry` is what the store has under its
/// key.
pub fn decide<'a>(
    request: &Request<'_>,
    entry: Option<&'a Entry<Page>>,
    now: Time,
    policy: &Policy,
) -> Decision<'a> {
    let decision = match entry {
        None => Decision::Miss(Forward::UriMiss),
        Some(entry) if entry.value().is_hit_for_miss() => Decision::Pass,
        Some(entry) => match entry.value().select(request) {
            None => Decision::Miss(Forward::VaryMiss),
            Some(stored) => use_stored(request, stored, entry.is_outdated(), now, policy),
        },
    };
    let only_stored = policy.client_directives && request.directives.only_if_cached;
    match decision {
        Decision::Miss(_) | Decision::Pass | Decision::Revalidate(..) if only_stored => {
            Decision::Unavailable
        }
        decision => decision,
    }
}

/// Decides on the response that the request selects.
fn use_stored<'a>(
    request: &Request<'_>,
    stored: &'a Arc<Stored>,
    is_outdated: bool,
    now: Time,
    policy: &Policy,
) -> Decision<'a> {
    let freshness = stored.head().freshness();
    // Stricter than section 3.5, which is about what authorized requests leave behind: what was
    // stored for all is not what a user with credentials expects either, unless it says so.
    if request.has(Named::AUTHORIZATION) && !stored.head().is_shared() {
        return Decision::Miss(Forward::Request);
    }
    let directives = if policy.client_directives { request.directives } else { <_>::default() };
    let too_old = directives.max_age.is_some_and(|most| freshness.age(now) > most.duration());
    if directives.no_cache || too_old {
        return Decision::Revalidate(stored, Forward::Request);
    }
    if freshness.always_validates() {
        return Decision::Revalidate(stored, Forward::Stale);
    }
    if freshness.is_fresh(now) && !is_outdated {
        let wanted = directives.min_fresh.is_some_and(|d| freshness.remaining(now) < d.duration());
        if wanted {
            return Decision::Revalidate(stored, Forward::Request);
        }
        return Decision::Hit(stored);
    }
    // `min-fresh` and `max-age` are from clients that want no stale response.
    let picky = directives.min_fresh.is_some() || directives.max_age.is_some();
    let allowed = directives.max_stale.is_some_and(|most| freshness.may_serve_stale(most, now));
    if allowed && !is_outdated {
        return Decision::Stale(stored, StaleReason::Allowed);
    }
    if !picky && freshness.may_serve_while_revalidating(now) {
        return Decision::Stale(stored, StaleReason::WhileRevalidating);
    }
    Decision::Revalidate(stored, Forward::Stale)
}

/// Whether a response that was to be validated may be served since the origin failed: with 500,
/// 502, 503 or 504, or not at all (RFC 5861 section 4).
pub fn may_serve_on_error(request: &Request<'_>, stored: &Stored, now: Time) -> bool {
    stored.head().freshness().may_serve_on_error(request.directives.stale_if_error, now)
}

#[cfg(test)]
mod tests;
