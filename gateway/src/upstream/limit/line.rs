//! The line before a gate: first in, first out, and anyone may leave from the middle at once.

use std::task::Waker;

use slab::Slab;

/// Those who wait, and those who were let in and have not noticed yet.
#[derive(Debug, Default)]
pub(super) struct Line {
    places: Slab<Place>,
    first: Option<usize>,
    last: Option<usize>,
}

#[derive(Debug)]
struct Place {
    /// `None` once the permit is granted: then the place is out of the chain.
    waker: Option<Waker>,
    before: Option<usize>,
    after: Option<usize>,
}

impl Line {
    /// Joins at the end; the key is valid until [`Line::leave`].
    pub(super) fn join(&mut self, waker: Waker) -> usize {
        let before = self.last;
        let key = self.places.insert(Place { waker: Some(waker), before, after: None });
        match before {
            Some(before) => self.places[before].after = Some(key),
            None => self.first = Some(key),
        }
        self.last = Some(key);
        key
    }

    /// Grants a permit to the first in line and takes its waker.
    pub(super) fn grant_first(&mut self) -> Option<Waker> {
        let key = self.first?;
        self.unchain(key);
        self.places[key].waker.take()
    }

    pub(super) fn is_granted(&self, key: usize) -> bool {
        self.places[key].waker.is_none()
    }

    /// Keeps `waker` for the place if it would wake another task; the old one comes back.
    pub(super) fn set_waker(&mut self, key: usize, waker: &Waker) -> Option<Waker> {
        let kept = self.places[key].waker.as_mut()?;
        if kept.will_wake(waker) {
            return None;
        }
        Some(std::mem::replace(kept, waker.clone()))
    }

    /// Gives the place up.
    pub(super) fn leave(&mut self, key: usize) -> Option<Waker> {
        if !self.is_granted(key) {
            self.unchain(key);
        }
        self.places.remove(key).waker
    }

    /// Places held, in line or granted.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    fn unchain(&mut self, key: usize) {
        let Place { before, after, .. } = self.places[key];
        match before {
            Some(before) => self.places[before].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.places[after].before = before,
            None => self.last = before,
        }
    }
}
