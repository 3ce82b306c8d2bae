//! Everything stored under one key: the variants of one URL, or the note that there is nothing to
//! store.

use std::{sync::Arc, time::Duration};

use super::{
    policy::Policy,
    stored::{Request, Stored},
};
use crate::{
    entry::{Entry, Fill},
    time::Time,
};

/// The variants of a URL, the newest first; no two have the same selection.
#[derive(Debug, Clone, Default)]
pub struct Page {
    variants: Vec<Arc<Stored>>,
}

impl Page {
    /// What to store when `stored` has come and `before` is there. Variants beyond the policy's
    /// number go, the oldest first; a page that was purged softly goes with all of its variants.
    pub fn with(before: Option<&Entry<Self>>, stored: Arc<Stored>, policy: &Policy) -> Fill<Self> {
        let mut variants = vec![stored];
        for other in
            before.filter(|entry| !entry.is_outdated()).iter().flat_map(|e| e.value().iter())
        {
            let replaced = variants[0].head().selection() == other.head().selection();
            if !replaced && variants.len() < policy.variants_max.max(1) {
                variants.push(Arc::clone(other));
            }
        }
        Self { variants }.fill()
    }

    /// What to store when a response could not be: a note that keeps later requests for `length`
    /// from waiting for each other. None if there is something better.
    pub fn hit_for_miss(
        before: Option<&Entry<Self>>,
        now: Time,
        length: Duration,
    ) -> Option<Fill<Self>> {
        let vacant = before.is_none_or(|entry| entry.value().is_hit_for_miss());
        let fill =
            || Fill { value: Self::default(), weight: 0, expires: now + length, tags: Vec::new() };
        vacant.then(fill)
    }

    /// Whether there is only the note that nothing can be stored.
    pub const fn is_hit_for_miss(&self) -> bool {
        self.variants.is_empty()
    }

    /// The variants, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.variants.iter()
    }

    /// The newest variant that `request` selects (RFC 9111 section 4.1).
    pub fn select(&self, request: &Request<'_>) -> Option<&Arc<Stored>> {
        self.variants.iter().find(|stored| stored.head().selection().matches(request.headers))
    }

    fn fill(self) -> Fill<Self> {
        let expires = self.variants.iter().map(|stored| stored.head().useless_at());
        let expires = expires.max().unwrap_or(Time::ZERO);
        let weight = self.variants.iter().map(|stored| stored.weight()).sum();
        let mut tags: Vec<Box<[u8]>> =
            self.variants.iter().flat_map(|stored| stored.head().tags().iter().cloned()).collect();
        tags.sort_unstable();
        tags.dedup();
        Fill { value: self, weight, expires, tags }
    }
}
