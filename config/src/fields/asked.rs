//! Which keys the decoder asked for, to prove in tests that it knows those of the table.

use std::{cell::RefCell, collections::HashSet};

use crate::defaults::Key;

thread_local! {
    static ASKED: RefCell<HashSet<(&'static str, String)>> = RefCell::default();
}

pub(super) fn note(place: &'static str, name: &str) {
    ASKED.with_borrow_mut(|asked| asked.insert((place, name.to_owned())));
}

pub(super) fn check(place: &'static str, keys: &[&Key]) {
    ASKED.with_borrow(|asked| {
        for key in keys {
            let known = asked.contains(&(place, key.name().to_owned()));
            assert!(known, "`{}` is in the table, but nothing reads it", key.path);
        }
    });
}

/// Whether a place was read at all.
pub(crate) fn any(place: &str) -> bool {
    ASKED.with_borrow(|asked| asked.iter().any(|(one, _)| *one == place))
}
