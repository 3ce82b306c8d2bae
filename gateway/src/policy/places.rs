//! A bounded number of places on one worker, for what may be left out when there is none.

use std::{cell::Cell, rc::Rc};

/// So many places.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Rc<Cell<u32>>,
    most: u32,
}

/// One of them; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Rc<Cell<u32>>);

impl Places {
    /// All of them free.
    pub(crate) fn new(most: u32) -> Self {
        Self { taken: Rc::default(), most }
    }

    /// One of them, if there is one.
    pub(crate) fn take(&self) -> Option<Place> {
        let taken = self.taken.get();
        (taken < self.most).then(|| {
            self.taken.set(taken + 1);
            Place(self.taken.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_at_a_time() {
        let places = Places::new(2);
        let (one, two) = (places.take(), places.take());
        assert!(one.is_some() && two.is_some() && places.take().is_none());
        drop(one);
        assert!(places.take().is_some(), "and free again at once");
    }
}
