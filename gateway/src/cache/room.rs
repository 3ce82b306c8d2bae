//! Memory for bodies, wherever they are: on their way in, in the store, or evicted from it while
//! slow clients still read them. Without a bound to it every connection could hold an object.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use bytes::Bytes;

/// What there is left, in bytes; less than nothing after it was made smaller.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<AtomicI64>);

impl Room {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicI64::new(signed(bytes))))
    }

    /// Makes room for `bytes` of what was one for `before`.
    pub(super) fn resize(&self, before: u64, bytes: u64) {
        self.0.fetch_add(signed(bytes) - signed(before), Relaxed);
    }

    /// Room for so many bytes, if there is.
    pub(crate) fn take(&self, bytes: u64) -> Option<Place> {
        let mut place = Place { room: self.clone(), bytes: 0 };
        place.cover(bytes).then_some(place)
    }
}

/// Room that is taken, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    bytes: u64,
}

impl Place {
    /// Makes it one for `bytes`, if it is smaller; false if there is no room.
    pub(crate) fn cover(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let take = |left: i64| left.checked_sub(signed(more)).filter(|left| *left >= 0);
        let fits = more == 0 || self.room.0.fetch_update(Relaxed, Relaxed, take).is_ok();
        self.bytes += if fits { more } else { 0 };
        fits
    }

    /// Bytes that keep their place until the last who reads them is done.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { bytes, _place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.0.fetch_add(signed(self.bytes), Relaxed);
    }
}

/// No memory is larger.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

struct Held {
    bytes: Vec<u8>,
    _place: Place,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_by_the_last_who_reads() {
        let room = Room::new(10);
        let mut place = room.take(4).unwrap();
        assert!(room.take(7).is_none());
        assert!(place.cover(8) && place.cover(3) && !place.cover(11));
        let bytes = place.hold(vec![1; 8]);
        let part = bytes.slice(2..4);
        drop(bytes);
        assert!(room.take(3).is_none());
        drop(part);
        assert!(room.take(10).is_some());
    }

    #[test]
    fn a_smaller_one_waits_for_what_is_taken() {
        let room = Room::new(10);
        let place = room.take(8).unwrap();
        room.resize(10, 4);
        assert!(room.take(1).is_none());
        drop(place);
        assert!(room.take(5).is_none() && room.take(4).is_some());
        room.resize(4, u64::MAX);
        assert!(room.take(1 << 40).is_some());
    }
}
