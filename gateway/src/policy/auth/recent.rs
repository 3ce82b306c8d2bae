//! What was found out of late and need not be found out again: bounded, without a list of who was
//! used when.
//!
//! Two generations: what is asked for moves to the young one, and when that is full it becomes the
//! old one, whose place it takes. So between half of the bound and all of it is kept, and nobody
//! who makes up new entries can have it hold more.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// A SHA-256, or what is as hard to make up.
pub(crate) type Digest = [u8; 32];

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    young: HashMap<Digest, V, RandomState>,
    old: HashMap<Digest, V, RandomState>,
    half: usize,
}

impl<V> Recent<V> {
    /// With room for so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: most.div_ceil(2).max(1) }
    }

    /// What is known of `key`, if that is still good.
    pub(crate) fn find(&mut self, key: &Digest, good: impl Fn(&V) -> bool) -> Option<&V> {
        if let Some(value) = self.old.remove(key) {
            self.insert(*key, value);
        }
        if self.young.get(key).is_some_and(|value| !good(value)) {
            self.young.remove(key);
        }
        self.young.get(key)
    }

    /// Something new is known of `key`.
    pub(crate) fn insert(&mut self, key: Digest, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u32) -> Digest {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.to_be_bytes());
        digest
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let mut recent = Recent::new(10);
        for n in 0..1000 {
            recent.insert(digest(n), n);
            assert!(recent.len() <= 10);
        }
        assert_eq!(recent.find(&digest(999), |_| true), Some(&999));
        assert_eq!(recent.find(&digest(1), |_| true), None);
    }

    #[test]
    fn what_is_used_stays() {
        let mut recent = Recent::new(10);
        recent.insert(digest(0), 0);
        for n in 1..1000 {
            recent.insert(digest(n), n);
            assert_eq!(recent.find(&digest(0), |_| true), Some(&0), "{n}");
        }
    }

    #[test]
    fn what_is_not_good_any_more_goes() {
        let mut recent = Recent::new(10);
        recent.insert(digest(7), 7);
        assert_eq!(recent.find(&digest(7), |value| *value > 7), None);
        assert_eq!(recent.find(&digest(7), |_| true), None);
        assert_eq!(recent.len(), 0);
    }
}
