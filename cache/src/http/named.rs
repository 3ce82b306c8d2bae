//! Which fields a request has, of those that a cache looks at: one look at all names instead of a
//! search for each of them, most of which are hardly ever there.

use http::{
    HeaderMap, HeaderName,
    header::{
        AUTHORIZATION, CACHE_CONTROL, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        IF_UNMODIFIED_SINCE, RANGE, UPGRADE,
    },
};

/// A set of field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named(u8);

impl Named {
    pub(super) const AUTHORIZATION: Self = Self(1);
    pub(super) const CACHE_CONTROL: Self = Self(1 << 1);
    /// Preconditions that are for the origin.
    pub(super) const FOR_ORIGIN: Self = Self(1 << 2);
    pub(super) const IF_MODIFIED_SINCE: Self = Self(1 << 3);
    pub(super) const IF_NONE_MATCH: Self = Self(1 << 4);
    pub(super) const RANGE: Self = Self(1 << 5);
    pub(super) const UPGRADE: Self = Self(1 << 6);

    /// Those of them that are there.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |found, name| found | bit(name)))
    }

    /// Whether one of these is among them.
    pub(super) const fn has(self, fields: Self) -> bool {
        self.0 & fields.0 != 0
    }
}

fn bit(name: &HeaderName) -> u8 {
    let named = match *name {
        AUTHORIZATION => Named::AUTHORIZATION,
        CACHE_CONTROL => Named::CACHE_CONTROL,
        IF_MATCH | IF_UNMODIFIED_SINCE => Named::FOR_ORIGIN,
        IF_MODIFIED_SINCE => Named::IF_MODIFIED_SINCE,
        IF_NONE_MATCH => Named::IF_NONE_MATCH,
        RANGE => Named::RANGE,
        UPGRADE => Named::UPGRADE,
        _ => return 0,
    };
    named.0
}
